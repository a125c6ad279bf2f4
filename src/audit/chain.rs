//! The links between events.

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use zeroize::Zeroizing;

/// Where a chain stands: its last sequence number and hash. Keep one elsewhere and a shortened log is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub seq: i64,
    pub hash: [u8; 32],
}

impl Head {
    /// The head of an empty log.
    pub const EMPTY: Self = Self { seq: 0, hash: [0; 32] };
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.seq)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (seq, hex) = text.split_once(':')?;
            let mut hash = [0; 32];
            if hex.len() != 64 || !hex.is_ascii() {
                return None;
            }
            for (at, byte) in hash.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
            }
            Some(Self { seq: seq.parse().ok()?, hash })
        };
        parse().ok_or_else(|| format!("`{text}` is not a head; write SEQ:HASH as `rolegate audit verify` prints it"))
    }
}

/// The key of the chain.
#[derive(Clone)]
pub struct ChainKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChainKey")
    }
}

impl ChainKey {
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// What one link covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub seq: i64,
    pub at_ms: i64,
    pub kind: String,
    pub subject: Option<String>,
    pub reference: Option<String>,
    pub body: String,
}

/// Computes and checks links.
#[derive(Debug, Clone)]
pub struct Chain {
    key: ChainKey,
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("event {expected} is missing: event {found} follows event {}", expected - 1)]
    Gap { expected: i64, found: i64 },
    #[error("event {0} was changed, or an event before it was replaced")]
    Altered(i64),
    #[error("the log ends at event {found}, but it had reached event {known}")]
    Shortened { known: i64, found: i64 },
    #[error("event {0} is not the one that was seen before")]
    Rewritten(i64),
}

impl Chain {
    #[must_use]
    pub fn new(key: ChainKey) -> Self {
        Self { key }
    }

    /// The hash of `link` when it follows `previous`.
    #[must_use]
    pub fn hash(&self, previous: &[u8; 32], link: &Link) -> [u8; 32] {
        let key = PKey::hmac(&*self.key.0).expect("32 bytes make an HMAC key");
        let mut mac = Signer::new(MessageDigest::sha256(), &key).expect("HMAC with SHA-256 is always there");
        let mut add = |bytes: &[u8]| mac.update(bytes).expect("HMAC takes any bytes");
        add(b"rolegate audit v1\0");
        add(previous);
        add(&link.seq.to_be_bytes());
        add(&link.at_ms.to_be_bytes());
        // Lengths keep neighbouring fields from borrowing each other's bytes; absent differs from empty.
        let fields = [Some(&link.kind), link.subject.as_ref(), link.reference.as_ref(), Some(&link.body)]
            .map(|f| f.map(String::as_str));
        for field in fields {
            match field {
                Some(text) => {
                    add(&[1]);
                    add(&(text.len() as u64).to_be_bytes());
                    add(text.as_bytes());
                }
                None => add(&[0]),
            }
        }
        mac.sign_to_vec().expect("HMAC takes any bytes").try_into().expect("SHA-256 is 32 bytes")
    }

    /// Checks that `link` with `hash` follows `head`, and returns the new head.
    ///
    /// # Errors
    /// [`VerifyError::Gap`] or [`VerifyError::Altered`].
    pub fn follow(&self, head: Head, link: &Link, hash: &[u8]) -> Result<Head, VerifyError> {
        let expected = head.seq + 1;
        if link.seq != expected {
            return Err(VerifyError::Gap { expected, found: link.seq });
        }
        let computed = self.hash(&head.hash, link);
        if hash.len() == computed.len() && openssl::memcmp::eq(hash, &computed) {
            Ok(Head { seq: expected, hash: computed })
        } else {
            Err(VerifyError::Altered(link.seq))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(seq: i64, body: &str) -> Link {
        Link { seq, at_ms: 5, kind: "k".into(), subject: None, reference: None, body: body.into() }
    }

    #[test]
    fn every_field_of_a_link_is_covered() {
        let chain = Chain::new(ChainKey::new([7; 32]));
        let base = link(1, "{}");
        let hash = chain.hash(&[0; 32], &base);
        let changed = [
            Link { at_ms: 6, ..base.clone() },
            Link { kind: "l".into(), ..base.clone() },
            Link { subject: Some(String::new()), ..base.clone() },
            Link { reference: Some("k".into()), ..base.clone() },
            Link { body: "{ }".into(), ..base.clone() },
        ];
        for other in changed {
            assert_eq!(chain.follow(Head::EMPTY, &other, &hash), Err(VerifyError::Altered(1)), "{other:?}");
        }
        assert_eq!(chain.follow(Head::EMPTY, &link(2, "{}"), &hash), Err(VerifyError::Gap { expected: 1, found: 2 }));
        let other_key = Chain::new(ChainKey::new([8; 32]));
        assert_eq!(other_key.follow(Head::EMPTY, &base, &hash), Err(VerifyError::Altered(1)));
        assert_eq!(chain.follow(Head::EMPTY, &base, &hash), Ok(Head { seq: 1, hash }));
    }

    #[test]
    fn a_head_is_printed_and_read_back() {
        let head = Head { seq: 42, hash: [0xab; 32] };
        assert_eq!(head.to_string().parse(), Ok(head));
        assert!("42".parse::<Head>().is_err());
    }
}
