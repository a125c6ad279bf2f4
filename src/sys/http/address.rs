//! Where an IP address leads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands at an address, as far as its number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somewhere on the internet.
    Public,
    /// Inside a company's own network.
    Private,
    /// Nothing an identity provider could be: this machine by another name, this link (where clouds hand their machines'
    /// credentials to whoever asks), groups of machines, and what is reserved.
    Never,
}

/// The IPv6 address of EC2's metadata service. It is in the private range, and the one address there that must not be
/// asked even where private addresses may.
const EC2_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Spec: the IANA registries of special-purpose addresses (RFC 6890 and what updates it).
pub(super) fn kind_of(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => v6(address),
    }
}

fn v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Kind::Private,
        [0 | 127, ..]
        | [169, 254, ..]
        | [192, 0, 0, _]
        | [192, 0, 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Kind::Never,
        // Azure's metadata and DNS service, on an address that looks public.
        [168, 63, 129, 16] => Kind::Never,
        _ => Kind::Public,
    }
}

fn v6(address: Ipv6Addr) -> Kind {
    if address == EC2_METADATA {
        return Kind::Never;
    }
    let inner = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // An IPv4 address in other clothes: mapped, compatible, NAT64 and 6to4 lead where it leads.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            inner(high, low)
        }
        // Unique local addresses, and a NAT64 prefix of one's own.
        [0xfc00..=0xfdff, ..] | [0x64, 0xff9b, 1, ..] => Kind::Private,
        // Teredo and other protocol assignments, documentation, and only then the rest of what is public.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Never,
        [0x2000..=0x3fff, ..] => Kind::Public,
        // Link-local, multicast, site-local, unassigned.
        _ => Kind::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_that_is_not_the_internet_is_known() {
        for (address, expected) in [
            ("93.184.216.34", Kind::Public),
            ("100.63.255.255", Kind::Public),
            ("100.128.0.0", Kind::Public),
            ("172.15.0.1", Kind::Public),
            ("172.32.0.1", Kind::Public),
            ("2606:2800:220:1::1", Kind::Public),
            ("64:ff9b::5db8:d822", Kind::Public),
            ("::ffff:93.184.216.34", Kind::Public),
            ("10.0.0.1", Kind::Private),
            ("172.16.0.1", Kind::Private),
            ("172.31.255.255", Kind::Private),
            ("192.168.1.1", Kind::Private),
            ("100.64.0.1", Kind::Private),
            ("fd12:3456::1", Kind::Private),
            ("::ffff:10.0.0.1", Kind::Private),
            ("64:ff9b::a00:1", Kind::Private),
            ("2002:a00:1::", Kind::Private),
            ("127.0.0.1", Kind::Never),
            ("127.255.255.254", Kind::Never),
            ("::1", Kind::Never),
            ("::ffff:127.0.0.1", Kind::Never),
            ("::127.0.0.1", Kind::Never),
            ("2002:7f00:1::", Kind::Never),
            ("0.0.0.0", Kind::Never),
            ("0.1.2.3", Kind::Never),
            ("::", Kind::Never),
            ("169.254.169.254", Kind::Never),
            ("::ffff:169.254.169.254", Kind::Never),
            ("64:ff9b::a9fe:a9fe", Kind::Never),
            ("2002:a9fe:a9fe::", Kind::Never),
            ("168.63.129.16", Kind::Never),
            ("fd00:ec2::254", Kind::Never),
            ("fe80::1", Kind::Never),
            ("fec0::1", Kind::Never),
            ("ff02::1", Kind::Never),
            ("2001::1", Kind::Never),
            ("2001:db8::1", Kind::Never),
            ("224.0.0.1", Kind::Never),
            ("240.0.0.1", Kind::Never),
            ("255.255.255.255", Kind::Never),
            ("192.0.2.1", Kind::Never),
            ("198.18.0.1", Kind::Never),
        ] {
            assert_eq!(kind_of(address.parse().unwrap()), expected, "{address}");
        }
    }
}
