//! Bearer tokens that can be recognised: by people, by secret scanners, and by us before the database is asked.
//!
//! A token is a mark, 43 characters with 256 random bits, and 6 characters of checksum over both:
//! `rgp_` for a personal token, `rga_` for an access token, `rgr_` for a refresh token. As a regular expression:
//! `rg[par]_[0-9A-Za-z]{49}`. The checksum is the CRC-32 (IEEE) of what stands before it, in base 62, padded with `0`.

use flate2::Crc;
use openssl::sha::sha256;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{Rng, TokenHash};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BearerKind {
    /// Made by hand, lives for months.
    Personal,
    /// What a client sends with its requests; lives for an hour or less.
    Access,
    /// What a client gets new tokens with, once.
    Refresh,
}

impl BearerKind {
    const ALL: [Self; 3] = [Self::Personal, Self::Access, Self::Refresh];

    /// What every token of the kind begins with.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Personal => "rgp_",
            Self::Access => "rga_",
            Self::Refresh => "rgr_",
        }
    }

    /// The kind as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// A bearer token, shown once and stored as a hash.
#[derive(Clone)]
pub struct Bearer {
    kind: BearerKind,
    text: SecretString,
}

const MARK: usize = 4;
const SECRET: usize = 43;
const CHECK: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Bearer {
    #[must_use]
    pub fn generate(kind: BearerKind, rng: &dyn Rng) -> Self {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        rng.fill(&mut *bytes);
        Self::from_bytes(kind, &bytes)
    }

    /// The token that these 32 bytes come to; they must be as good as random.
    #[must_use]
    pub fn from_bytes(kind: BearerKind, bytes: &[u8; 32]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(MARK + SECRET + CHECK));
        text.push_str(kind.mark());
        push_base62(&mut text, bytes, SECRET);
        let check = checksum(&text);
        push_base62(&mut text, &check, CHECK);
        Self { kind, text: SecretString::from(text.as_str()) }
    }

    /// Takes a text that is a token of ours by its shape and its checksum. Whether anybody has it is for the store to
    /// say; what is mistyped or invented ends here.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let kind = BearerKind::ALL.into_iter().find(|kind| text.starts_with(kind.mark()))?;
        let shape = text.len() == MARK + SECRET + CHECK && text.bytes().skip(MARK).all(|b| b.is_ascii_alphanumeric());
        if !shape {
            return None;
        }
        let (body, sent) = text.split_at(MARK + SECRET);
        let mut check = String::with_capacity(CHECK);
        push_base62(&mut check, &checksum(body), CHECK);
        (check == sent).then(|| Self { kind, text: SecretString::from(text) })
    }

    #[must_use]
    pub const fn kind(&self) -> BearerKind {
        self.kind
    }

    #[must_use]
    pub fn hash(&self) -> TokenHash {
        sha256(self.text.expose_secret().as_bytes())
    }

    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.text.expose_secret()
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer")
    }
}

fn checksum(text: &str) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(text.as_bytes());
    crc.sum().to_be_bytes()
}

/// The bytes as one big-endian number in base 62, padded with `0` to `width` digits.
fn push_base62(text: &mut String, bytes: &[u8], width: usize) {
    let mut number = Zeroizing::new(bytes.to_vec());
    let mut digits = Zeroizing::new(vec![b'0'; width]);
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in number.iter_mut() {
            let value = (rest << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 62).expect("the quotient of less than 62 × 256 is a byte");
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    text.extend(digits.iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sys::SeededRng;

    #[test]
    fn a_token_is_recognised_by_its_mark_and_its_checksum() {
        let rng = SeededRng::new(1);
        for kind in BearerKind::ALL {
            let token = Bearer::generate(kind, &rng);
            let text = token.expose_secret();
            assert!(text.starts_with(kind.mark()) && text.len() == 53, "{text}");
            assert_eq!(Bearer::parse(text).unwrap().kind(), kind);
            assert_eq!(Bearer::parse(text).unwrap().hash(), token.hash());
            assert_eq!(format!("{token:?}"), "Bearer");
        }
        // Fixed, because scanners are configured with it.
        let fixed = Bearer::from_bytes(BearerKind::Personal, &[0xff; 32]);
        assert_eq!(fixed.expose_secret(), "rgp_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp114QahM");
        let zero = Bearer::from_bytes(BearerKind::Access, &[0; 32]);
        assert!(zero.expose_secret().starts_with("rga_0000000000000000000000000000000000000000000"));
    }

    proptest! {
        #[test]
        fn a_token_with_one_character_changed_is_none(bytes in any::<[u8; 32]>(), at in 0_usize..53, digit in 0_usize..62) {
            let token = Bearer::from_bytes(BearerKind::Personal, &bytes);
            prop_assert!(Bearer::parse(token.expose_secret()).is_some());
            let mut text = token.expose_secret().as_bytes().to_vec();
            prop_assume!(text[at] != DIGITS[digit]);
            text[at] = DIGITS[digit];
            prop_assert!(Bearer::parse(std::str::from_utf8(&text).unwrap()).is_none());
        }

        #[test]
        fn junk_is_no_token(text in ".{0,80}") {
            prop_assert!(Bearer::parse(&text).is_none());
        }
    }
}
