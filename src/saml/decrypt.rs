//! Encrypted assertions and names: RSA-OAEP around AES.
//!
//! Spec: XML Encryption 1.1; SAML core 2.3.4 and 6.
//!
//! RSA PKCS#1 v1.5 and triple DES are refused by name: the first hands out a padding oracle, the second has run out of
//! key length. AES-CBC is not authenticated, yet it is what AD FS and others send around a signed assertion, so it is
//! accepted; therefore everything that can go wrong from the key on is one error without a cause, and the attempt is
//! spent by it. The plaintext is only worth something once its signature, or the one around it, is verified.

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::md::{Md, MdRef};
use openssl::pkey::{PKey, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use roxmltree::Node;
use zeroize::Zeroizing;

use super::gate::text_of;
use super::names::{DS, XENC, XENC11, excerpt};

/// More keys than this for one assertion are refused: each costs a private-key operation.
const MAX_ENCRYPTED_KEYS: usize = 4;

const GCM_NONCE: usize = 12;
const GCM_TAG: usize = 16;
const AES_BLOCK: usize = 16;

/// The `EncryptionMethod`s announced in metadata, best first: what the bulk is encrypted with, then the key.
pub const SUPPORTED: [&str; 8] = [
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes192-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes192-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
    "http://www.w3.org/2009/xmlenc11#rsa-oaep",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
];

/// An element that was encrypted. Nothing about it is verified.
pub struct Decrypted {
    xml: Zeroizing<String>,
    /// Namespace declarations around the encrypted element, by prefix.
    context: Vec<(String, String)>,
}

impl std::fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decrypted")
    }
}

impl Decrypted {
    #[must_use]
    pub fn xml(&self) -> &str {
        &self.xml
    }

    /// The same with the namespace declarations it had around it, for senders that left them outside. What is signed
    /// does not change by it: exclusive canonical form only knows the namespaces that are used.
    #[must_use]
    pub fn in_context(&self) -> Zeroizing<String> {
        let end_of_tag = self.xml.find('>').unwrap_or(0);
        let end_of_name = self.xml.find([' ', '\t', '\r', '\n', '/', '>']).unwrap_or(0);
        let (tag, _) = self.xml.split_at(end_of_tag);
        let (name, rest) = self.xml.split_at(end_of_name);
        let mut xml = Zeroizing::new(String::with_capacity(self.xml.len() + 256));
        xml.push_str(name);
        for (prefix, uri) in &self.context {
            let declaration = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
            // The gate let these through, so they need no escaping: a prefix is a name and a URI has no quote.
            if !tag.contains(&format!("{declaration}=")) {
                xml.push_str(&format!(" {declaration}=\"{uri}\""));
            }
        }
        xml.push_str(rest);
        xml
    }
}

/// Why an element could not be decrypted.
#[derive(Debug, thiserror::Error)]
pub enum DecryptError {
    #[error("it is encrypted, and this connector has no decryption key")]
    NoKey,
    #[error("it is encrypted with {algorithm:?}, which is refused; use AES-GCM or AES-CBC with RSA-OAEP")]
    Algorithm { algorithm: String },
    #[error("what is encrypted is not built as expected: {0}")]
    Shape(&'static str),
    /// Wrong key, altered bytes, bad padding, not text: told apart, these are an oracle.
    #[error("it could not be decrypted: it was encrypted for another key, or changed on the way")]
    Failed,
}

impl DecryptError {
    /// A stable short name for audit events.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey => "decryption-key-missing",
            Self::Algorithm { .. } => "encryption-algorithm-refused",
            Self::Shape(_) => "encryption-malformed",
            Self::Failed => "decryption-failed",
        }
    }
}

/// Decrypts a `saml:EncryptedAssertion` or `saml:EncryptedID` out of a document that passed the gate. `recipient` is our entity ID.
///
/// # Errors
/// [`DecryptError`]
pub fn decrypt(encrypted: Node<'_, '_>, recipient: &str, keys: &[PKey<Private>]) -> Result<Decrypted, DecryptError> {
    let mut data = encrypted.children().filter(|child| child.has_tag_name((XENC, "EncryptedData")));
    let (Some(data), None) = (data.next(), data.next()) else {
        return Err(DecryptError::Shape("there is not exactly one EncryptedData"));
    };
    if data.attribute("Type").is_some_and(|kind| kind != "http://www.w3.org/2001/04/xmlenc#Element") {
        return Err(DecryptError::Shape("what is encrypted is not an element"));
    }
    let bulk = Bulk::from_uri(method(data).unwrap_or_default())?;
    let wrapped = wrapped_keys(encrypted, data, recipient)?;
    if keys.is_empty() {
        return Err(DecryptError::NoKey);
    }
    let ciphertext = cipher_value(data)?;
    // With several EncryptedKeys, one that cannot be used is not a problem as long as another can.
    let mut refused = None;
    let mut usable = Vec::new();
    for node in wrapped {
        match KeyTransport::read(node) {
            Ok(transport) => usable.push((transport, cipher_value(node)?)),
            Err(e) => refused = Some(e),
        }
    }
    if let (true, Some(e)) = (usable.is_empty(), refused) {
        return Err(e);
    }
    for (transport, wrapped) in &usable {
        for key in keys {
            let opened = transport
                .unwrap(key, wrapped)
                .filter(|session_key| session_key.len() == bulk.cipher().key_length())
                .and_then(|session_key| bulk.open(&session_key, &ciphertext))
                .and_then(|plain| std::str::from_utf8(&plain).ok().map(|text| Zeroizing::new(text.to_owned())));
            if let Some(xml) = opened {
                let context = data
                    .namespaces()
                    .filter(|ns| ns.name() != Some("xml"))
                    .map(|ns| (ns.name().unwrap_or_default().to_owned(), ns.uri().to_owned()))
                    .collect();
                return Ok(Decrypted { xml, context });
            }
        }
    }
    Err(DecryptError::Failed)
}

/// The EncryptedKeys inside or beside the data, those addressed to us first.
fn wrapped_keys<'a, 't>(
    encrypted: Node<'a, 't>,
    data: Node<'a, 't>,
    recipient: &str,
) -> Result<Vec<Node<'a, 't>>, DecryptError> {
    let mut found: Vec<Node<'_, '_>> =
        encrypted.descendants().filter(|node| node.has_tag_name((XENC, "EncryptedKey"))).collect();
    if found.is_empty() {
        return Err(DecryptError::Shape("there is no EncryptedKey"));
    }
    if found.len() > MAX_ENCRYPTED_KEYS {
        return Err(DecryptError::Shape("there are more than four EncryptedKeys"));
    }
    let mut referenced = Vec::new();
    for reference in data.descendants().filter(|node| node.has_tag_name((DS, "RetrievalMethod"))) {
        let id = reference.attribute("URI").and_then(|uri| uri.strip_prefix('#')).unwrap_or_default();
        let target = found.iter().find(|key| !id.is_empty() && key.attribute("Id") == Some(id));
        let target = target.ok_or(DecryptError::Shape("a RetrievalMethod leads elsewhere than to an EncryptedKey"))?;
        if reference.children().any(|child| child.is_element()) {
            return Err(DecryptError::Shape("a RetrievalMethod has transforms"));
        }
        referenced.push(target.id());
    }
    found.sort_by_key(|key| {
        let addressed = match key.attribute("Recipient") {
            Some(name) if name == recipient => 0,
            None => 1,
            Some(_) => 2,
        };
        (addressed, !referenced.contains(&key.id()))
    });
    Ok(found)
}

fn method<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    encryption_method(node)?.attribute("Algorithm")
}

fn encryption_method<'a, 't>(node: Node<'a, 't>) -> Option<Node<'a, 't>> {
    node.children().find(|child| child.has_tag_name((XENC, "EncryptionMethod")))
}

fn cipher_value(node: Node<'_, '_>) -> Result<Vec<u8>, DecryptError> {
    let value = node
        .children()
        .find(|child| child.has_tag_name((XENC, "CipherData")))
        .and_then(|data| data.children().find(|child| child.has_tag_name((XENC, "CipherValue"))))
        .and_then(text_of)
        .ok_or(DecryptError::Shape("a CipherValue is missing"))?;
    let packed: Vec<u8> = value.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(packed).map_err(|_| DecryptError::Shape("a CipherValue is not base64"))
}

/// What the assertion itself is encrypted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bulk {
    Gcm { bits: u16 },
    Cbc { bits: u16 },
}

impl Bulk {
    fn from_uri(uri: &str) -> Result<Self, DecryptError> {
        match uri {
            "http://www.w3.org/2009/xmlenc11#aes128-gcm" => Ok(Self::Gcm { bits: 128 }),
            "http://www.w3.org/2009/xmlenc11#aes192-gcm" => Ok(Self::Gcm { bits: 192 }),
            "http://www.w3.org/2009/xmlenc11#aes256-gcm" => Ok(Self::Gcm { bits: 256 }),
            "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => Ok(Self::Cbc { bits: 128 }),
            "http://www.w3.org/2001/04/xmlenc#aes192-cbc" => Ok(Self::Cbc { bits: 192 }),
            "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => Ok(Self::Cbc { bits: 256 }),
            other => Err(DecryptError::Algorithm { algorithm: excerpt(other) }),
        }
    }

    fn cipher(self) -> &'static CipherRef {
        match self {
            Self::Gcm { bits: 128 } => Cipher::aes_128_gcm(),
            Self::Gcm { bits: 192 } => Cipher::aes_192_gcm(),
            Self::Gcm { .. } => Cipher::aes_256_gcm(),
            Self::Cbc { bits: 128 } => Cipher::aes_128_cbc(),
            Self::Cbc { bits: 192 } => Cipher::aes_192_cbc(),
            Self::Cbc { .. } => Cipher::aes_256_cbc(),
        }
    }

    fn open(self, key: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::Gcm { .. } => {
                let (nonce, rest) = ciphertext.split_at_checked(GCM_NONCE)?;
                let (body, tag) = rest.split_at_checked(rest.len().checked_sub(GCM_TAG)?)?;
                self.run(key, nonce, body, Some(tag))
            }
            Self::Cbc { .. } => {
                let (iv, body) = ciphertext.split_at_checked(AES_BLOCK)?;
                if body.is_empty() || body.len() % AES_BLOCK != 0 {
                    return None;
                }
                let mut plain = self.run(key, iv, body, None)?;
                // XML Encryption 5.2: the last byte counts the padding, the others may be anything.
                let padding = usize::from(*plain.last()?);
                if !(1..=AES_BLOCK).contains(&padding) {
                    return None;
                }
                let length = plain.len() - padding;
                plain.truncate(length);
                Some(plain)
            }
        }
    }

    fn run(self, key: &[u8], iv: &[u8], body: &[u8], tag: Option<&[u8]>) -> Option<Zeroizing<Vec<u8>>> {
        let mut context = CipherCtx::new().ok()?;
        context.decrypt_init(Some(self.cipher()), Some(key), Some(iv)).ok()?;
        context.set_padding(false);
        let mut plain = Zeroizing::new(Vec::with_capacity(body.len() + AES_BLOCK));
        context.cipher_update_vec(body, &mut plain).ok()?;
        if let Some(tag) = tag {
            context.set_tag(tag).ok()?;
        }
        context.cipher_final_vec(&mut plain).ok()?;
        Some(plain)
    }
}

/// How the session key is encrypted for ours.
struct KeyTransport {
    digest: &'static MdRef,
    mask: &'static MdRef,
    label: Vec<u8>,
}

impl KeyTransport {
    fn read(node: Node<'_, '_>) -> Result<Self, DecryptError> {
        let algorithm = method(node).unwrap_or_default();
        let parameters = encryption_method(node);
        let parameter = |namespace, name| {
            parameters.and_then(|method| method.children().find(|child| child.has_tag_name((namespace, name))))
        };
        let digest = match parameter(DS, "DigestMethod").map(|node| node.attribute("Algorithm").unwrap_or_default()) {
            None | Some("http://www.w3.org/2000/09/xmldsig#sha1") => Md::sha1(),
            Some("http://www.w3.org/2001/04/xmlenc#sha256") => Md::sha256(),
            Some("http://www.w3.org/2001/04/xmldsig-more#sha384") => Md::sha384(),
            Some("http://www.w3.org/2001/04/xmlenc#sha512") => Md::sha512(),
            Some(other) => return Err(DecryptError::Algorithm { algorithm: excerpt(other) }),
        };
        let mask = match algorithm {
            // Its mask generation is SHA-1's whatever the digest is.
            "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p" => Md::sha1(),
            "http://www.w3.org/2009/xmlenc11#rsa-oaep" => {
                match parameter(XENC11, "MGF").map(|node| node.attribute("Algorithm").unwrap_or_default()) {
                    None | Some("http://www.w3.org/2009/xmlenc11#mgf1sha1") => Md::sha1(),
                    Some("http://www.w3.org/2009/xmlenc11#mgf1sha256") => Md::sha256(),
                    Some("http://www.w3.org/2009/xmlenc11#mgf1sha384") => Md::sha384(),
                    Some("http://www.w3.org/2009/xmlenc11#mgf1sha512") => Md::sha512(),
                    Some(other) => return Err(DecryptError::Algorithm { algorithm: excerpt(other) }),
                }
            }
            other => return Err(DecryptError::Algorithm { algorithm: excerpt(other) }),
        };
        let label = match parameter(XENC, "OAEPparams") {
            None => Vec::new(),
            Some(node) => text_of(node)
                .and_then(|text| STANDARD.decode(text).ok())
                .ok_or(DecryptError::Shape("OAEPparams is not base64"))?,
        };
        Ok(Self { digest, mask, label })
    }

    fn unwrap(&self, key: &PKey<Private>, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut context = PkeyCtx::new(key).ok()?;
        context.decrypt_init().ok()?;
        context.set_rsa_padding(Padding::PKCS1_OAEP).ok()?;
        context.set_rsa_oaep_md(self.digest).ok()?;
        context.set_rsa_mgf1_md(self.mask).ok()?;
        if !self.label.is_empty() {
            context.set_rsa_oaep_label(&self.label).ok()?;
        }
        let mut session_key = Zeroizing::new(Vec::new());
        context.decrypt_to_vec(wrapped, &mut session_key).ok()?;
        Some(session_key)
    }
}
