//! Virtual MFA devices: time-based one-time passwords.
//!
//! Spec: RFC 6238 with HMAC-SHA-1, six digits and steps of thirty seconds, which is what AWS's virtual devices do.

use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use zeroize::Zeroizing;

/// Seconds for which one code is shown.
const STEP_SECS: i64 = 30;
/// How many steps a device's clock may be ahead or behind.
const TOLERANCE: i64 = 1;

/// A device of a user, and the seed it shares with IAM.
#[derive(Clone)]
pub struct MfaDevice {
    /// `arn:…:mfa/{name}`.
    pub serial: String,
    seed: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for MfaDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MfaDevice").field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// The seed is not base32 as RFC 4648 writes it, or too short to be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an MFA seed is at least 16 characters of base32: A to Z and 2 to 7")]
pub struct InvalidSeed;

impl MfaDevice {
    /// # Errors
    /// [`InvalidSeed`]
    pub fn new(serial: &str, seed: &str) -> Result<Self, InvalidSeed> {
        let seed = base32(seed).filter(|seed| seed.len() >= 10).ok_or(InvalidSeed)?;
        Ok(Self { serial: serial.to_owned(), seed })
    }

    /// The six digits the device shows at this moment.
    #[must_use]
    pub fn code(&self, now: Timestamp) -> String {
        self.code_of_step(now.as_second().div_euclid(STEP_SECS))
    }

    /// How long that code is still shown, in seconds.
    #[must_use]
    pub fn seconds_left(now: Timestamp) -> i64 {
        STEP_SECS - now.as_second().rem_euclid(STEP_SECS)
    }

    /// Whether somebody who holds the device could have read this code within one step of now.
    #[must_use]
    pub fn accepts(&self, code: &str, now: Timestamp) -> bool {
        let step = now.as_second().div_euclid(STEP_SECS);
        // Every step is looked at, so that time tells nothing about which one it was.
        (step - TOLERANCE..=step + TOLERANCE).fold(false, |found, step| {
            let expected = self.code_of_step(step);
            let same = expected.len() == code.len() && openssl::memcmp::eq(expected.as_bytes(), code.as_bytes());
            found | same
        })
    }

    fn code_of_step(&self, step: i64) -> String {
        let key = PKey::hmac(&self.seed).expect("a seed is an HMAC key");
        let digest = Signer::new(MessageDigest::sha1(), &key)
            .and_then(|mut signer| signer.sign_oneshot_to_vec(&step.to_be_bytes()))
            .expect("HMAC-SHA-1 takes any message");
        // RFC 4226, section 5.3: four bytes from where the last nibble points, without the sign.
        let at = usize::from(digest[digest.len() - 1] & 0x0f);
        let number = digest[at..at + 4].iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
    }
}

/// Padding, spaces and lower case are as people copy them.
fn base32(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::new());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for c in text.trim_end_matches('=').chars().filter(|c| !matches!(c, ' ' | '-')) {
        let value = match c.to_ascii_uppercase() {
            c @ 'A'..='Z' => u32::from(c) - u32::from('A'),
            c @ '2'..='7' => u32::from(c) - u32::from('2') + 26,
            _ => return None,
        };
        bits = (bits << 5 | value) & 0xffff;
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push(((bits >> held) & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `12345678901234567890`, the seed of the vectors in RFC 6238.
    const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_vectors_in_rfc_6238() {
        let device = MfaDevice::new("x", SEED).unwrap();
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(device.code(at(second)), code, "{second}");
        }
    }

    #[test]
    fn a_code_is_good_for_its_step_and_one_more_on_each_side() {
        let device = MfaDevice::new("x", SEED).unwrap();
        let (start, code) = (1_111_111_080, device.code(at(1_111_111_080)));
        for (offset, good) in [(-31, false), (-30, true), (0, true), (29, true), (59, true), (60, false)] {
            assert_eq!(device.accepts(&code, at(start + offset)), good, "{offset}");
        }
        for bad in ["", "0", "00000000", "abcdef", "\u{e9}\u{e9}\u{e9}"] {
            assert!(!device.accepts(bad, at(start)), "{bad}");
        }
        assert_eq!(MfaDevice::seconds_left(at(start)), 30);
        assert_eq!(MfaDevice::seconds_left(at(start + 29)), 1);
    }

    #[test]
    fn a_seed_is_base32_as_people_copy_it() {
        let device = MfaDevice::new("x", "gezd gnbv-gy3t qojq gezd gnbv gy3t qojq==").unwrap();
        assert_eq!(device.code(at(59)), "287082");
        for bad in ["", "GEZDGNBV", "not base32!", "GEZDGNBVGY3TQOJ1"] {
            assert_eq!(MfaDevice::new("x", bad).unwrap_err(), InvalidSeed, "{bad}");
        }
        assert!(!format!("{device:?}").contains("seed"));
    }
}
