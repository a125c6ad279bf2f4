//! `[keys]`: the key that seals secrets at rest, and the key that signs what AWS trusts.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::reader::{Advice, Reader};
use super::server::{PublicUrl, web_url};
use super::setting::Setting;
use crate::sys::seal::SealingKey;
use crate::sys::{ExposeSecret, SecretString};

pub(super) static SETTINGS: &[&Setting] =
    &[&SEALING_KEY, &SIGNING_KEY_BITS, &ENTITY_ID, &TOKEN_ISSUER, &TOKEN_ROTATION_DAYS];
static SEALING_KEY: Setting =
    Setting::optional("keys.sealing_key", "sealing.key in data_dir, made on first start").secret();
static SIGNING_KEY_BITS: Setting = Setting::new("keys.signing_key_bits", "3072");
static ENTITY_ID: Setting = Setting::computed("keys.entity_id", "public_url with /aws/saml-metadata.xml");
static TOKEN_ISSUER: Setting = Setting::computed("keys.token_issuer", "public_url");
static TOKEN_ROTATION_DAYS: Setting = Setting::new("keys.token_rotation_days", "90");

#[derive(Debug)]
pub struct KeysConfig {
    pub sealing_key: SealingKeySource,
    /// The size of a signing key that is made from now on; one that exists stays as it is.
    pub signing_key_bits: SigningKeyBits,
    /// Who we are toward AWS: the issuer of our assertions. Accounts register it, so it must not change lightly.
    pub entity_id: String,
    pub tokens: TokenKeysConfig,
}

/// The keys that sign tokens for accounts which trust us as an OpenID provider.
#[derive(Debug, Clone)]
pub struct TokenKeysConfig {
    pub bits: SigningKeyBits,
    /// Who we are toward those accounts: the issuer of our tokens. Empty where neither it nor a public URL is set.
    pub issuer: String,
    /// After how many days a key makes room for the next; never by itself where there is none.
    pub rotation_days: Option<std::num::NonZeroU32>,
}

/// Where the sealing key comes from.
#[derive(Debug)]
pub enum SealingKeySource {
    /// Given in the settings.
    Given(SealingKey),
    /// In this file, as [`sealing_key_from_base64`] reads it; made on first start, readable by its owner only.
    OwnFile(PathBuf),
}

/// The size of an RSA signing key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SigningKeyBits {
    Rsa2048,
    #[default]
    Rsa3072,
    Rsa4096,
}

impl SigningKeyBits {
    #[must_use]
    pub const fn get(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }
}

/// The text is not 32 bytes in base64. It is a secret, so it is not repeated here.
#[derive(Debug, thiserror::Error)]
#[error("write 32 random bytes in base64, as `openssl rand -base64 32` prints them")]
pub struct InvalidSealingKey;

/// Reads a sealing key: 32 bytes in standard base64, white space around it ignored.
///
/// # Errors
/// [`InvalidSealingKey`] for anything else.
pub fn sealing_key_from_base64(text: &SecretString) -> Result<SealingKey, InvalidSealingKey> {
    let bytes = Zeroizing::new(STANDARD.decode(text.expose_secret().trim()).map_err(|_| InvalidSealingKey)?);
    let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| InvalidSealingKey)?;
    Ok(SealingKey::from_bytes(bytes))
}

pub(super) fn read(reader: &mut Reader, data_dir: &Path, public_url: Option<&PublicUrl>) -> KeysConfig {
    let sealing_key = reader
        .secret(&SEALING_KEY, |text| sealing_key_from_base64(&text).map_err(|error| error.to_string()))
        .map_or_else(|| SealingKeySource::OwnFile(data_dir.join("sealing.key")), SealingKeySource::Given);
    let signing_key_bits = reader.value(&SIGNING_KEY_BITS, |text| match text {
        "2048" => Ok(SigningKeyBits::Rsa2048),
        "3072" => Ok(SigningKeyBits::Rsa3072),
        "4096" => Ok(SigningKeyBits::Rsa4096),
        _ => Err("write 2048, 3072 or 4096".to_owned()),
    });
    let entity_id = reader.computed(
        &ENTITY_ID,
        |text| {
            // SAML core 8.3.6: a URI of at most 1024 characters.
            if url::Url::parse(text).is_ok() && text.len() <= 1024 {
                Ok(text.to_owned())
            } else {
                Err("write a URI of at most 1024 characters, such as https://aws.example.com/aws/saml-metadata.xml"
                    .to_owned())
            }
        },
        || {
            let id = public_url.map_or_else(String::new, |url| url.at("/aws/saml-metadata.xml"));
            (id.clone(), id)
        },
    );
    let issuer = reader.computed(&TOKEN_ISSUER, token_issuer, || {
        let issuer = public_url.map_or_else(String::new, PublicUrl::origin);
        (issuer.clone(), issuer)
    });
    let rotation_days = reader.value(&TOKEN_ROTATION_DAYS, |text| match text.parse::<u32>() {
        Ok(days @ (0 | 7..=1_095)) => Ok(std::num::NonZeroU32::new(days)),
        _ => Err("write a whole number of days from 7 to 1095, or 0 to rotate by hand only".to_owned()),
    });
    let tokens = TokenKeysConfig { bits: signing_key_bits, issuer, rotation_days };
    KeysConfig { sealing_key, signing_key_bits, entity_id, tokens }
}

/// An issuer as tokens and IAM write it, byte for byte: no slash at its end, nothing after the path.
fn token_issuer(text: &str) -> Result<String, Advice> {
    /// IAM takes no longer URL of a provider.
    const LONGEST: usize = 255;
    let url = web_url(text)?;
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && text.len() <= LONGEST
        && url.as_str().trim_end_matches('/') == text;
    if plain {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "write it as {}: at most {LONGEST} characters, no slash at the end, no question mark",
            url.as_str().split(['?', '#']).next().unwrap_or_default().trim_end_matches('/')
        ))
    }
}
