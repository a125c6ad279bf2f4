//! Networks as AWS compares them with `aws:SourceIp`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// A network that requests may come from: a CIDR block or one address, and never all there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

/// The text names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network; write a CIDR block such as 203.0.113.0/24, or one address")]
pub struct InvalidNetwork(pub String);

impl Network {
    /// What somebody's requests to AWS come from, as far as it can be told from where a request to us came from: the
    /// address, or for IPv6 the /64 it is in, of which hosts change the rest by themselves.
    #[must_use]
    pub fn around(address: IpAddr) -> Self {
        let (net, length) = match address.to_canonical() {
            IpAddr::V4(v4) => (IpAddr::V4(v4), 32),
            IpAddr::V6(v6) => (IpAddr::V6(v6), 64),
        };
        Self(IpNet::new(net, length).map_or_else(|_| IpNet::from(net), |net| net.trunc()))
    }

    #[must_use]
    pub fn first_address(&self) -> IpAddr {
        self.0.addr()
    }

    #[must_use]
    pub fn contains(&self, address: &IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// What is in both. Of two networks one lies in the other, or they have nothing in common.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<Self> {
        if self.0.contains(&other.0) {
            Some(*other)
        } else if other.0.contains(&self.0) {
            Some(*self)
        } else {
            None
        }
    }

    /// Whether these are addresses of a house and not of the internet, under which AWS never sees anybody.
    ///
    /// Loopback is not counted: who reaches us by it has AWS, or what stands in for it, on the same machine.
    #[must_use]
    pub fn is_private(&self) -> bool {
        // RFC 1918, RFC 6598, RFC 3927; RFC 4193 and RFC 4291.
        const V4: [([u8; 4], u8); 5] = [
            ([10, 0, 0, 0], 8),
            ([172, 16, 0, 0], 12),
            ([192, 168, 0, 0], 16),
            ([100, 64, 0, 0], 10),
            ([169, 254, 0, 0], 16),
        ];
        const V6: [(u16, u8); 2] = [(0xfc00, 7), (0xfe80, 10)];
        match self.0 {
            IpNet::V4(net) => V4.iter().any(|(from, length)| {
                Ipv4Net::new((*from).into(), *length).is_ok_and(|private| private.contains(&net))
            }),
            IpNet::V6(net) => V6.iter().any(|(from, length)| {
                let from = std::net::Ipv6Addr::new(*from, 0, 0, 0, 0, 0, 0, 0);
                Ipv6Net::new(from, *length).is_ok_and(|private| private.contains(&net))
            }),
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match net {
            Some(net) if net.prefix_len() > 0 => Ok(Self(net.trunc())),
            _ => Err(InvalidNetwork(text.chars().take(100).collect())),
        }
    }
}

impl fmt::Display for Network {
    /// One address stands without a length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidNetwork;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_a_block_or_an_address_and_never_everything() {
        for (text, said) in [
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("2001:db8::1/32", "2001:db8::/32"),
        ] {
            assert_eq!(network(text).to_string(), said);
            assert_eq!(network(said), network(text));
        }
        for bad in ["", "0.0.0.0/0", "::/0", "10.0.0.0/33", "office", "1.2.3"] {
            assert_eq!(bad.parse::<Network>().unwrap_err(), InvalidNetwork(bad.to_owned()));
        }
    }

    #[test]
    fn two_networks_have_the_smaller_in_common_or_nothing() {
        assert_eq!(network("10.0.0.0/8").common(&network("10.1.0.0/16")), Some(network("10.1.0.0/16")));
        assert_eq!(network("10.1.0.0/16").common(&network("10.0.0.0/8")), Some(network("10.1.0.0/16")));
        assert_eq!(network("10.0.0.0/8").common(&network("11.0.0.0/8")), None);
        assert_eq!(network("10.0.0.0/8").common(&network("2001:db8::/32")), None);
    }

    #[test]
    fn where_a_request_came_from_is_an_address_or_its_64() {
        let around = |text: &str| Network::around(text.parse().unwrap()).to_string();
        assert_eq!(around("203.0.113.7"), "203.0.113.7");
        assert_eq!(around("::ffff:203.0.113.7"), "203.0.113.7");
        assert_eq!(around("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }

    #[test]
    fn private_addresses_are_told_from_those_aws_can_see() {
        for private in ["10.1.2.3", "172.31.0.0/24", "192.168.1.1", "100.64.0.1", "169.254.1.1", "fd00::1", "fe80::/64"]
        {
            assert!(network(private).is_private(), "{private}");
        }
        for public in ["203.0.113.7", "127.0.0.1", "::1", "2001:db8::1", "172.32.0.1", "8.0.0.0/6"] {
            assert!(!network(public).is_private(), "{public}");
        }
    }
}
