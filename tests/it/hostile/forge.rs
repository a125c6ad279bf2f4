//! The forge: replies for one service provider, one request and one moment, right or wrong in any part.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::{MessageDigest, hash};
use openssl::md::Md;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use openssl::x509::{X509, X509NameBuilder};
use roxmltree::Document;

use super::c14n;

pub const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
pub const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
pub const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
pub const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
pub const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
pub const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
pub const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
pub const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

/// The identity provider all honest replies come from.
pub const IDP: &str = "https://idp.example/saml";

pub const RESPONSE_ID: &str = "_response";
pub const ASSERTION_ID: &str = "_assertion";

/// A private key and the certificate that announces it.
pub struct Identity {
    pub key: PKey<Private>,
    pub certificate: Vec<u8>,
}

impl Identity {
    fn new(key: PKey<Private>) -> Self {
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "idp.example").unwrap();
        let name = name.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(4_000_000_000).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self { certificate: builder.build().to_der().unwrap(), key }
    }

    fn rsa() -> Self {
        Self::new(PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap())
    }

    fn ec() -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        Self::new(PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap())
    }

    pub fn base64(&self) -> String {
        STANDARD.encode(&self.certificate)
    }
}

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Idp,
    /// The provider's other keys, in its metadata too.
    IdpNext,
    IdpEc,
    /// Somebody else, with a key of his own.
    Stranger,
    StrangerEc,
}

/// The same keys for every forge of a test run.
struct Keys {
    idp: Identity,
    next: Identity,
    ec: Identity,
    stranger: Identity,
    stranger_ec: Identity,
    encryption: Identity,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        idp: Identity::rsa(),
        next: Identity::rsa(),
        ec: Identity::ec(),
        stranger: Identity::rsa(),
        stranger_ec: Identity::ec(),
        encryption: Identity::rsa(),
    })
}

impl Who {
    pub fn identity(self) -> &'static Identity {
        let keys = keys();
        match self {
            Self::Idp => &keys.idp,
            Self::IdpNext => &keys.next,
            Self::IdpEc => &keys.ec,
            Self::Stranger => &keys.stranger,
            Self::StrangerEc => &keys.stranger_ec,
        }
    }
}

/// Our private key that assertions are encrypted for, where the test itself plays the service provider.
pub fn decryption_key() -> PKey<Private> {
    keys().encryption.key.clone()
}

/// Makes replies for one service provider, request and moment.
#[derive(Debug, Clone)]
pub struct Forge {
    pub sp_entity_id: String,
    pub acs_url: String,
    pub request_id: Option<String>,
    pub now: Timestamp,
    /// DER of the certificate to encrypt for.
    pub encrypt_for: Vec<u8>,
}

impl Forge {
    /// `request_id` is what the reply answers; none for one that answers nothing.
    pub fn new(sp_entity_id: &str, acs_url: &str, request_id: Option<&str>, now: Timestamp) -> Self {
        Self {
            sp_entity_id: sp_entity_id.to_owned(),
            acs_url: acs_url.to_owned(),
            request_id: request_id.map(str::to_owned),
            now,
            encrypt_for: keys().encryption.certificate.clone(),
        }
    }

    /// The provider's metadata: the EC key first, then the RSA keys.
    pub fn metadata() -> String {
        let keys: String = [Who::IdpEc, Who::Idp, Who::IdpNext]
            .map(|who| {
                format!(
                    "<KeyDescriptor use=\"signing\"><ds:KeyInfo xmlns:ds=\"{DS}\"><ds:X509Data><ds:X509Certificate>{}\
                     </ds:X509Certificate></ds:X509Data></ds:KeyInfo></KeyDescriptor>",
                    who.identity().base64()
                )
            })
            .concat();
        format!(
            "<EntityDescriptor xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"{IDP}\"><IDPSSODescriptor \
             protocolSupportEnumeration=\"{SAMLP}\">{keys}<SingleSignOnService \
             Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"https://idp.example/sso\"/>\
             </IDPSSODescriptor></EntityDescriptor>"
        )
    }

    /// An instant in seconds from now.
    pub fn at(&self, seconds: i64) -> String {
        (self.now + SignedDuration::from_secs(seconds)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// The parts of an honest reply.
    pub fn parts(&self) -> Parts {
        Parts {
            response_version: Some("2.0".to_owned()),
            response_instant: Some(self.at(0)),
            destination: Some(self.acs_url.clone()),
            response_to: self.request_id.clone(),
            response_issuer: Some(IDP.to_owned()),
            extensions: String::new(),
            status: format!("<samlp:Status><samlp:StatusCode Value=\"{SUCCESS}\"/></samlp:Status>"),
            assertion_id: ASSERTION_ID.to_owned(),
            version: Some("2.0".to_owned()),
            instant: Some(self.at(0)),
            issuer: Some(IDP.to_owned()),
            name_id: "<saml:NameID Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified\">asha</saml:NameID>"
                .to_owned(),
            method: BEARER.to_owned(),
            recipient: Some(self.acs_url.clone()),
            confirmation_from: None,
            confirmation_until: Some(self.at(300)),
            confirmation_to: self.request_id.clone(),
            conditions_from: Some(self.at(-30)),
            conditions_until: Some(self.at(300)),
            conditions: format!(
                "<saml:AudienceRestriction><saml:Audience>{}</saml:Audience></saml:AudienceRestriction>",
                self.sp_entity_id
            ),
            no_conditions: false,
            no_subject: false,
            authn: format!(
                "<saml:AuthnStatement AuthnInstant=\"{}\" SessionIndex=\"_session\"><saml:AuthnContext>\
                 <saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password\
                 </saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>",
                self.at(-5)
            ),
            attributes: attributes(&[
                ("email", &["asha@example.com"]),
                ("displayName", &["Asha Rao"]),
                ("groups", &["engineering", "payments"]),
            ]),
        }
    }

    /// The parts, changed.
    pub fn with(&self, change: impl FnOnce(&mut Parts)) -> Parts {
        let mut parts = self.parts();
        change(&mut parts);
        parts
    }

    /// An honest reply with the assertion signed, changed before signing.
    pub fn signed(&self, change: impl FnOnce(&mut Parts)) -> String {
        let parts = self.with(change);
        form(&parts.response(&sign(&parts.assertion(), &parts.assertion_id, &Sig::default())))
    }

    /// The same with the response signed.
    pub fn response_signed(&self, change: impl FnOnce(&mut Parts)) -> String {
        let parts = self.with(change);
        form(&sign(&parts.response(&parts.assertion()), RESPONSE_ID, &Sig::default()))
    }

    /// An honest reply whose assertion is signed in this way.
    pub fn signed_by(&self, sig: &Sig<'_>) -> String {
        let parts = self.parts();
        form(&parts.response(&sign(&parts.assertion(), ASSERTION_ID, sig)))
    }

    /// An honest reply with the assertion signed, changed after signing.
    pub fn tampered(&self, change: impl FnOnce(String) -> String) -> String {
        form(&change(self.honest()))
    }

    /// The XML of an honest reply with the assertion signed.
    pub fn honest(&self) -> String {
        let parts = self.parts();
        parts.response(&sign(&parts.assertion(), ASSERTION_ID, &Sig::default()))
    }

    /// An honest signed assertion, encrypted.
    pub fn encrypted(&self, how: &Encryption<'_>) -> String {
        let parts = self.parts();
        let assertion = sign(&parts.assertion(), ASSERTION_ID, &Sig::default());
        form(&parts.response(&self.encrypt(assertion.as_bytes(), how)))
    }

    /// Wraps plaintext in `saml:EncryptedAssertion`.
    pub fn encrypt(&self, plain: &[u8], how: &Encryption<'_>) -> String {
        let cipher = how.cipher();
        let session_key: Vec<u8> = (0..cipher.key_length()).map(|i| u8::try_from(i).unwrap() ^ 0x5a).collect();
        let mut sealed = seal(cipher, &session_key, plain);
        (how.damage)(&mut sealed);
        let public = X509::from_der(&self.encrypt_for).unwrap().public_key().unwrap();
        let mut context = PkeyCtx::new(&public).unwrap();
        context.encrypt_init().unwrap();
        if how.transport.ends_with("rsa-1_5") {
            context.set_rsa_padding(Padding::PKCS1).unwrap();
        } else {
            context.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
            let digest = if how.oaep_sha256 { Md::sha256() } else { Md::sha1() };
            context.set_rsa_oaep_md(digest).unwrap();
            let mask = how.oaep_sha256 && how.transport.ends_with("#rsa-oaep");
            context.set_rsa_mgf1_md(if mask { Md::sha256() } else { Md::sha1() }).unwrap();
        }
        let mut wrapped = Vec::new();
        context.encrypt_to_vec(&session_key, &mut wrapped).unwrap();

        let mut parameters = String::new();
        if how.oaep_sha256 {
            parameters.push_str(&format!("<ds:DigestMethod xmlns:ds=\"{DS}\" Algorithm=\"{SHA256}\"/>"));
            if how.transport.ends_with("#rsa-oaep") {
                parameters.push_str(
                    "<x11:MGF xmlns:x11=\"http://www.w3.org/2009/xmlenc11#\" \
                     Algorithm=\"http://www.w3.org/2009/xmlenc11#mgf1sha256\"/>",
                );
            }
        }
        let encrypted_key = |recipient: &str, wrapped: &[u8]| {
            format!(
                "<xenc:EncryptedKey xmlns:xenc=\"{XENC}\" Id=\"_key{}\"{recipient}><xenc:EncryptionMethod \
                 Algorithm=\"{}\">{parameters}</xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue>{}\
                 </xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>",
                if recipient.contains("other") { "2" } else { "" },
                how.transport,
                STANDARD.encode(wrapped)
            )
        };
        let mut encrypted_keys = encrypted_key("", &wrapped);
        if how.key_for_another_too {
            let garbage = vec![7; wrapped.len()];
            encrypted_keys = encrypted_key(" Recipient=\"https://other.example\"", &garbage)
                + &encrypted_key(&format!(" Recipient=\"{}\"", self.sp_entity_id), &wrapped);
        }
        let (inside, beside) = if how.beside {
            let link = "<ds:RetrievalMethod Type=\"http://www.w3.org/2001/04/xmlenc#EncryptedKey\" URI=\"#_key\"/>";
            (link.to_owned(), encrypted_keys)
        } else {
            (encrypted_keys, String::new())
        };
        format!(
            "<saml:EncryptedAssertion xmlns:saml=\"{SAML}\"><xenc:EncryptedData xmlns:xenc=\"{XENC}\" \
             Type=\"{XENC}Element\"><xenc:EncryptionMethod Algorithm=\"{}\"/><ds:KeyInfo xmlns:ds=\"{DS}\">{inside}\
             </ds:KeyInfo><xenc:CipherData><xenc:CipherValue>{}</xenc:CipherValue></xenc:CipherData>\
             </xenc:EncryptedData>{beside}</saml:EncryptedAssertion>",
            how.announced.unwrap_or(how.bulk),
            STANDARD.encode(sealed)
        )
    }
}

pub const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
pub const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";

/// One `AttributeStatement`.
pub fn attributes(list: &[(&str, &[&str])]) -> String {
    let mut out = "<saml:AttributeStatement>".to_owned();
    for (name, values) in list {
        out.push_str(&format!("<saml:Attribute Name=\"{name}\">"));
        for value in *values {
            out.push_str(&format!("<saml:AttributeValue>{value}</saml:AttributeValue>"));
        }
        out.push_str("</saml:Attribute>");
    }
    out + "</saml:AttributeStatement>"
}

/// The value of the form field `SAMLResponse`.
pub fn form(xml: &str) -> String {
    STANDARD.encode(xml)
}

/// Everything a reply says, each part changeable and most removable.
#[derive(Debug, Clone)]
pub struct Parts {
    pub response_version: Option<String>,
    pub response_instant: Option<String>,
    pub destination: Option<String>,
    pub response_to: Option<String>,
    pub response_issuer: Option<String>,
    pub extensions: String,
    pub status: String,
    pub assertion_id: String,
    pub version: Option<String>,
    pub instant: Option<String>,
    pub issuer: Option<String>,
    pub name_id: String,
    pub method: String,
    pub recipient: Option<String>,
    pub confirmation_from: Option<String>,
    pub confirmation_until: Option<String>,
    pub confirmation_to: Option<String>,
    pub conditions_from: Option<String>,
    pub conditions_until: Option<String>,
    /// What is inside Conditions.
    pub conditions: String,
    pub no_conditions: bool,
    pub no_subject: bool,
    /// All AuthnStatements.
    pub authn: String,
    /// All AttributeStatements.
    pub attributes: String,
}

fn attribute(name: &str, value: Option<&String>) -> String {
    value.map(|value| format!(" {name}=\"{value}\"")).unwrap_or_default()
}

impl Parts {
    pub fn assertion(&self) -> String {
        let issuer = self.issuer.as_ref().map(|i| format!("<saml:Issuer>{i}</saml:Issuer>")).unwrap_or_default();
        let subject = format!(
            "<saml:Subject>{}<saml:SubjectConfirmation Method=\"{}\"><saml:SubjectConfirmationData{}{}{}{}/>\
             </saml:SubjectConfirmation></saml:Subject>",
            self.name_id,
            self.method,
            attribute("InResponseTo", self.confirmation_to.as_ref()),
            attribute("NotBefore", self.confirmation_from.as_ref()),
            attribute("NotOnOrAfter", self.confirmation_until.as_ref()),
            attribute("Recipient", self.recipient.as_ref()),
        );
        let conditions = format!(
            "<saml:Conditions{}{}>{}</saml:Conditions>",
            attribute("NotBefore", self.conditions_from.as_ref()),
            attribute("NotOnOrAfter", self.conditions_until.as_ref()),
            self.conditions
        );
        format!(
            "<saml:Assertion xmlns:saml=\"{SAML}\" ID=\"{}\"{}{}>{issuer}{}{}{}{}</saml:Assertion>",
            self.assertion_id,
            attribute("IssueInstant", self.instant.as_ref()),
            attribute("Version", self.version.as_ref()),
            if self.no_subject { "" } else { &subject },
            if self.no_conditions { "" } else { &conditions },
            self.authn,
            self.attributes
        )
    }

    /// The response around whatever is inside.
    pub fn response(&self, inside: &str) -> String {
        format!(
            "<samlp:Response xmlns:samlp=\"{SAMLP}\" ID=\"{RESPONSE_ID}\"{}{}{}{}>{}{}{}{inside}</samlp:Response>",
            attribute("Destination", self.destination.as_ref()),
            attribute("InResponseTo", self.response_to.as_ref()),
            attribute("IssueInstant", self.response_instant.as_ref()),
            attribute("Version", self.response_version.as_ref()),
            self.response_issuer
                .as_ref()
                .map(|i| format!("<saml:Issuer xmlns:saml=\"{SAML}\">{i}</saml:Issuer>"))
                .unwrap_or_default(),
            self.extensions,
            self.status,
        )
    }
}

/// How to sign, with every part open to abuse.
#[derive(Debug, Clone)]
pub struct Sig<'a> {
    pub who: Who,
    pub algorithm: &'a str,
    pub digest: &'a str,
    /// Instead of a reference to the signed element.
    pub uri: Option<&'a str>,
    /// Instead of enveloped and exclusive.
    pub transforms: Option<&'a str>,
    pub canonicalization: &'a str,
    /// Prefixes for InclusiveNamespaces of the reference.
    pub inclusive: &'a [&'a str],
    /// What is inside Signature behind the value.
    pub key_info: Option<String>,
    /// More inside SignedInfo.
    pub more: &'a str,
    /// The prefix of the signature's own elements; empty for a default namespace.
    pub prefix: &'a str,
}

impl Default for Sig<'_> {
    fn default() -> Self {
        Self {
            who: Who::Idp,
            algorithm: RSA_SHA256,
            digest: SHA256,
            uri: None,
            transforms: None,
            canonicalization: EXCLUSIVE,
            inclusive: &[],
            key_info: None,
            more: "",
            prefix: "ds",
        }
    }
}

fn digest_of(uri: &str) -> MessageDigest {
    match uri.rsplit(['#', '-']).next().unwrap() {
        "md5" => MessageDigest::md5(),
        "sha1" => MessageDigest::sha1(),
        "sha384" => MessageDigest::sha384(),
        "sha512" => MessageDigest::sha512(),
        _ => MessageDigest::sha256(),
    }
}

/// The signature value over `octets`.
pub fn signature_value(who: Who, algorithm: &str, octets: &[u8]) -> Vec<u8> {
    let identity = who.identity();
    let digest = digest_of(algorithm);
    if algorithm.contains("hmac") {
        // Key confusion: the public key as the secret.
        let secret = PKey::hmac(&identity.key.public_key_to_pem().unwrap()).unwrap();
        return openssl::sign::Signer::new(digest, &secret).unwrap().sign_oneshot_to_vec(octets).unwrap();
    }
    let signature = openssl::sign::Signer::new(digest, &identity.key).unwrap().sign_oneshot_to_vec(octets).unwrap();
    if matches!(who, Who::IdpEc | Who::StrangerEc) {
        let parts = EcdsaSig::from_der(&signature).unwrap();
        let mut raw = parts.r().to_vec_padded(32).unwrap();
        raw.extend(parts.s().to_vec_padded(32).unwrap());
        return raw;
    }
    signature
}

/// Signs the element with that ID and puts the signature behind its Issuer, or first.
pub fn sign(xml: &str, id: &str, sig: &Sig<'_>) -> String {
    let (signature, at) = signature_for(xml, id, sig);
    format!("{}{signature}{}", &xml[..at], &xml[at..])
}

/// The signature over the element with that ID, and where it belongs.
pub fn signature_for(xml: &str, id: &str, sig: &Sig<'_>) -> (String, usize) {
    let document = Document::parse(xml).unwrap();
    let node = document.descendants().find(|node| node.attribute("ID") == Some(id)).expect("something has that ID");
    let digest = hash(digest_of(sig.digest), c14n::exclusive(node, None, sig.inclusive).as_bytes()).unwrap();
    let p = if sig.prefix.is_empty() { String::new() } else { format!("{}:", sig.prefix) };
    let declaration = if sig.prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{}", sig.prefix) };
    let list = if sig.inclusive.is_empty() {
        String::new()
    } else {
        format!("<ec:InclusiveNamespaces xmlns:ec=\"{EXCLUSIVE}\" PrefixList=\"{}\"/>", sig.inclusive.join(" "))
    };
    let own = format!(
        "<{p}Transform Algorithm=\"{ENVELOPED}\"/><{p}Transform Algorithm=\"{EXCLUSIVE}\">{list}</{p}Transform>"
    );
    let transforms = sig.transforms.unwrap_or(&own);
    let own_uri = format!("#{id}");
    let uri = sig.uri.unwrap_or(&own_uri);
    let template = format!(
        "<{p}Signature {declaration}=\"{DS}\"><{p}SignedInfo><{p}CanonicalizationMethod Algorithm=\"{}\"/>\
         <{p}SignatureMethod Algorithm=\"{}\"/><{p}Reference URI=\"{uri}\"><{p}Transforms>{transforms}</{p}Transforms>\
         <{p}DigestMethod Algorithm=\"{}\"/><{p}DigestValue>{}</{p}DigestValue></{p}Reference>{}</{p}SignedInfo>\
         <{p}SignatureValue>VALUE</{p}SignatureValue>KEYINFO</{p}Signature>",
        sig.canonicalization,
        sig.algorithm,
        sig.digest,
        STANDARD.encode(digest),
        sig.more,
    );
    let parsed = Document::parse(&template).unwrap();
    let signed_info = c14n::exclusive(parsed.root_element().first_element_child().unwrap(), None, &[]);
    let value = signature_value(sig.who, sig.algorithm, signed_info.as_bytes());
    let key_info = sig.key_info.clone().unwrap_or_else(|| {
        format!(
            "<{p}KeyInfo><{p}X509Data><{p}X509Certificate>{}</{p}X509Certificate></{p}X509Data></{p}KeyInfo>",
            sig.who.identity().base64()
        )
    });
    let signature = template.replace("VALUE", &STANDARD.encode(value)).replace("KEYINFO", &key_info);
    let at = node.children().find(|child| child.tag_name().name() == "Issuer").map_or_else(
        || node.first_child().expect("what is signed is not empty").range().start,
        |issuer| issuer.range().end,
    );
    (signature, at)
}

/// How to encrypt, with every part open to abuse.
#[derive(Clone)]
pub struct Encryption<'a> {
    pub bulk: &'a str,
    pub transport: &'a str,
    pub oaep_sha256: bool,
    /// Put the EncryptedKey beside the data, with a RetrievalMethod leading to it.
    pub beside: bool,
    pub key_for_another_too: bool,
    /// Say another algorithm than the one used.
    pub announced: Option<&'a str>,
    pub damage: fn(&mut Vec<u8>),
}

impl Default for Encryption<'_> {
    fn default() -> Self {
        Self {
            bulk: "http://www.w3.org/2009/xmlenc11#aes256-gcm",
            transport: "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
            oaep_sha256: false,
            beside: false,
            key_for_another_too: false,
            announced: None,
            damage: |_| {},
        }
    }
}

impl Encryption<'_> {
    fn cipher(&self) -> &'static CipherRef {
        match self.bulk.rsplit('#').next().unwrap() {
            "aes128-gcm" => Cipher::aes_128_gcm(),
            "aes192-gcm" => Cipher::aes_192_gcm(),
            "aes256-gcm" => Cipher::aes_256_gcm(),
            "aes128-cbc" => Cipher::aes_128_cbc(),
            "aes192-cbc" => Cipher::aes_192_cbc(),
            "tripledes-cbc" => Cipher::des_ede3_cbc(),
            _ => Cipher::aes_256_cbc(),
        }
    }
}

fn seal(cipher: &CipherRef, key: &[u8], plain: &[u8]) -> Vec<u8> {
    let iv = vec![9; cipher.iv_length()];
    let mut context = CipherCtx::new().unwrap();
    context.encrypt_init(Some(cipher), Some(key), Some(&iv)).unwrap();
    let mut out = Vec::new();
    context.cipher_update_vec(plain, &mut out).unwrap();
    context.cipher_final_vec(&mut out).unwrap();
    let mut sealed = iv;
    sealed.extend(out);
    if cipher.iv_length() == 12 {
        let mut tag = [0; 16];
        context.tag(&mut tag).unwrap();
        sealed.extend(tag);
    }
    sealed
}
