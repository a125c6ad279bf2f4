//! IAM users, and what they are recognised by.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::arn::is_name_byte;
use super::{AccountId, InvalidName};

/// The name of an IAM user with its path, if any: `jane` or `finance/jane`. The last part is 1 to 64 of `[\w+=,.@-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl FromStr for UserName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, name) = text.rsplit_once('/').unwrap_or(("", text));
        let good = (1..=64).contains(&name.len())
            && name.bytes().all(is_name_byte)
            && path.len() <= 510
            && path.bytes().all(|b| (0x21..=0x7e).contains(&b))
            && !text.starts_with('/')
            && !text.contains("//");
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "IAM user name",
                value: text.to_owned(),
                rule: "its path without a leading slash, if it has one, and 1 to 64 letters, digits and any of _+=,.@-",
            })
        }
    }
}

/// The id of a long-term access key: 16 to 128 letters, digits and `_`.
///
/// Spec: AWS STS API Reference, type `accessKeyIdType`. One that begins with `ASIA` is refused: it is a session's, and
/// would stop working within hours.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessKeyId(String);

impl AccessKeyId {
    /// The account that AWS wrote into the id; none for ids of another make.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        let bits = self.0.strip_prefix("AKIA").filter(|rest| rest.len() == 16)?;
        // Base 32 of RFC 4648; the first ten characters hold the first six bytes.
        let digit = |c: u8| match c {
            b'A'..=b'Z' => Some(u64::from(c - b'A')),
            b'2'..=b'7' => Some(u64::from(c - b'2') + 26),
            _ => None,
        };
        let number = bits.bytes().take(10).try_fold(0_u64, |number, c| Some(number << 5 | digit(c)?))?;
        let account = (number >> 2 & 0x7fff_ffff_ff80) >> 7;
        format!("{account:012}").parse().ok()
    }
}

impl FromStr for AccessKeyId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |rule| Err(InvalidName { what: "access key id", value: text.to_owned(), rule });
        if text.starts_with("ASIA") {
            return error("the id of a user's own key, which begins with AKIA: this one belongs to a session");
        }
        if (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            Ok(Self(text.to_owned()))
        } else {
            error("16 to 128 letters and digits")
        }
    }
}

/// Which MFA device: the ARN of a virtual one, or the serial number of a piece of hardware. 9 to 256 of `[\w+=/:,.@-]`.
///
/// Spec: AWS STS API Reference, type `serialNumberType`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MfaSerial(String);

impl FromStr for MfaSerial {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| is_name_byte(b) || b == b'/' || b == b':';
        if (9..=256).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "MFA device",
                value: text.chars().take(256).collect(),
                rule: "its ARN, such as arn:aws:iam::111122223333:mfa/jane, or its serial number",
            })
        }
    }
}

/// The six digits an MFA device shows. Good for one call within half a minute or so, and never written down.
///
/// Spec: AWS STS API Reference, type `tokenCodeType`.
#[derive(Clone)]
pub struct MfaCode(SecretString);

/// The text is not six digits. What was typed is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an MFA code is the six digits that the device shows")]
pub struct InvalidMfaCode;

impl MfaCode {
    /// The six digits.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for MfaCode {
    type Err = InvalidMfaCode;

    /// Some devices show the digits in two groups, and people copy them so.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: String = text.chars().filter(|c| *c != ' ').collect();
        if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(SecretString::from(digits)))
        } else {
            Err(InvalidMfaCode)
        }
    }
}

impl fmt::Debug for MfaCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MfaCode")
    }
}

macro_rules! texts {
    ($($name:ident),+) => {$(
        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    )+};
}
texts!(UserName, AccessKeyId, MfaSerial);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_names_its_account_where_aws_wrote_it_there() {
        let account = |text: &str| text.parse::<AccessKeyId>().unwrap().account().map(|id| id.to_string());
        // Made from the account id by the layout the facts give, and read back.
        for id in ["111122223333", "000000000001", "999999999999"] {
            let number = id.parse::<u64>().unwrap() << 7 << 2;
            let letters: String = (0..10)
                .rev()
                .map(|at| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(number >> (5 * at) & 31) as usize]))
                .collect();
            assert_eq!(account(&format!("AKIA{letters}ABCDEF")).as_deref(), Some(id));
        }
        assert_eq!(account("SBUKEXAMPLEEXAMPLE12"), None);
        assert_eq!(account("AKIA0000000000000000"), None);
    }

    #[test]
    fn names_of_users_keys_and_devices_are_what_aws_takes() {
        assert!("jane".parse::<UserName>().is_ok() && "team/jane".parse::<UserName>().is_ok());
        assert!("/jane".parse::<UserName>().is_err() && "team//jane".parse::<UserName>().is_err());
        assert!("".parse::<UserName>().is_err() && "x".repeat(65).parse::<UserName>().is_err());
        assert!("AKIAEXAMPLEEXAMPLE12".parse::<AccessKeyId>().is_ok());
        assert!("AKIA".parse::<AccessKeyId>().is_err() && "AKIAEXAMPLE EXAMPLE1".parse::<AccessKeyId>().is_err());
        let session = "ASIAEXAMPLEEXAMPLE12".parse::<AccessKeyId>().unwrap_err();
        assert!(session.to_string().contains("belongs to a session"), "{session}");
        assert!("arn:aws:iam::111122223333:mfa/jane".parse::<MfaSerial>().is_ok());
        assert!("GAHT12345678".parse::<MfaSerial>().is_ok() && "short".parse::<MfaSerial>().is_err());
        assert!("arn:aws:iam::111122223333:mfa/jane doe".parse::<MfaSerial>().is_err());
    }

    #[test]
    fn a_code_is_six_digits_and_is_not_shown() {
        assert_eq!("123456".parse::<MfaCode>().unwrap().expose(), "123456");
        assert_eq!("123 456".parse::<MfaCode>().unwrap().expose(), "123456");
        for text in ["", "12345", "1234567", "12345a", "١٢٣٤٥٦"] {
            let error = text.parse::<MfaCode>().unwrap_err();
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
        }
        assert!(!format!("{:?}", "123456".parse::<MfaCode>().unwrap()).contains("123456"));
    }
}
