//! Minting the assertion for one permit, beside the one signature that is in it: by aws-lc, which signs it, and by
//! OpenSSL.
//!
//! `cargo bench --bench mint`. Criterion reports each operation; the ratios at the end come from batches that take turns,
//! so that whatever else the machine does weighs on all sides alike.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops at what it did not expect")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use rolegate::access::{Asked, Permit, Policy};
use rolegate::identity::{Attributes, Authentication, Groups, NameIdQualifiers, SubjectId, VerifiedIdentity};
use rolegate::issuance::assertion::{Opened, mint};
use rolegate::saml::key::{KeyError, KeySize, SigningKey};
use rolegate::saml::write::Signer as XmlSigner;
use rolegate::sys::SystemRng;

const CATALOG: &str = r#"
[[connector]]
id = "okta"
kind = "saml"
name = "Okta"
metadata_url = "https://okta.example/metadata"

[[account]]
id = "111122223333"
name = "Payments production"

[[role]]
account = "111122223333"
name = "ReadOnly"
max_session = "12h"
session_tags = { team = { value = "payments" }, cost-centre = { value = "4711" } }

[[rule]]
id = "everybody"
when = { groups = "engineering" }
grant = [{ account = "111122223333", role = "ReadOnly" }]
"#;

/// As long as the `SignedInfo` that is signed in an assertion.
const MESSAGE: [u8; 800] = [b'x'; 800];

fn now() -> Timestamp {
    Timestamp::from_second(1_795_262_400).unwrap()
}

fn permit() -> Permit {
    let loaded = rolegate::catalog::toml::parse_text("bench.toml", CATALOG).unwrap();
    let identity = VerifiedIdentity {
        subject: SubjectId { connector: "okta".parse().unwrap(), value: "asha@corp.example".to_owned() },
        asserted: None,
        link: None,
        qualifiers: NameIdQualifiers::default(),
        name: Some("Asha".to_owned()),
        email: Some("asha@corp.example".to_owned()),
        groups: Groups::Complete { values: vec!["engineering".to_owned()] },
        attributes: Attributes::default(),
        authentication: Authentication {
            instant: Some(now()),
            methods: Vec::new(),
            context_class: None,
            session_index: None,
            session_not_on_or_after: None,
        },
    };
    let (account, role) = ("111122223333".parse().unwrap(), "ReadOnly".parse().unwrap());
    Policy::compile(loaded.catalog).permit(&identity, Asked::role(account, role), now()).unwrap()
}

/// A key that has signed already: what is left is the work around the signature.
#[derive(Debug)]
struct Canned {
    certificate: String,
    signature: Vec<u8>,
}

impl XmlSigner for Canned {
    fn key_id(&self) -> &str {
        "canned"
    }

    fn certificate_base64(&self) -> &str {
        &self.certificate
    }

    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.signature.clone())
    }
}

/// The operations, on one key.
struct Bench {
    key: SigningKey,
    canned: Canned,
    openssl: PKey<Private>,
    aws_lc: aws_lc_rs::rsa::KeyPair,
    permit: Permit,
}

impl Bench {
    fn new(size: KeySize) -> Self {
        let key = SigningKey::generate(size, "bench", now(), &SystemRng).unwrap();
        let der = key.private_key_der().unwrap();
        Self {
            openssl: PKey::private_key_from_pkcs8(&der).unwrap(),
            aws_lc: aws_lc_rs::rsa::KeyPair::from_pkcs8(&der).unwrap(),
            permit: permit(),
            canned: Canned { certificate: key.certificate_base64().to_owned(), signature: key.sign(&MESSAGE).unwrap() },
            key,
        }
    }

    fn mint(&self) {
        self.mint_with(&self.key);
    }

    fn mint_without_signing(&self) {
        self.mint_with(&self.canned);
    }

    fn mint_with(&self, signer: &dyn XmlSigner) {
        let entity_id = "https://broker.corp.example/aws/saml-metadata.xml";
        let entry = self.permit.entry().unwrap();
        let opened = Opened::of(&entry).unwrap();
        black_box(mint(&self.permit, &opened, self.permit.duration(), entity_id, signer, now(), &SystemRng).unwrap());
    }

    fn openssl(&self) {
        let mut signer = Signer::new(MessageDigest::sha256(), &self.openssl).unwrap();
        black_box(signer.sign_oneshot_to_vec(black_box(&MESSAGE)).unwrap());
    }

    fn aws_lc(&self) {
        let mut signature = vec![0; self.aws_lc.public_modulus_len()];
        let rng = aws_lc_rs::rand::SystemRandom::new();
        self.aws_lc.sign(&aws_lc_rs::signature::RSA_PKCS1_SHA256, &rng, black_box(&MESSAGE), &mut signature).unwrap();
        black_box(signature);
    }
}

/// The fastest of many short batches of each operation, taking turns.
fn fastest<const N: usize>(operations: [&dyn Fn(); N]) -> [Duration; N] {
    const ROUNDS: usize = 200;
    const BATCH: u32 = 10;
    let mut best = [Duration::MAX; N];
    for _ in 0..ROUNDS {
        for (operation, best) in operations.iter().zip(&mut best) {
            let began = Instant::now();
            (0..BATCH).for_each(|_| operation());
            *best = (*best).min(began.elapsed() / BATCH);
        }
    }
    best
}

fn ratio(size: KeySize, bench: &Bench) {
    let bits = size.bits();
    let [mint, openssl, aws_lc] = fastest([&|| bench.mint(), &|| bench.openssl(), &|| bench.aws_lc()]);
    println!(
        "RSA-{bits}: mint {mint:?} = {:.3} x OpenSSL {openssl:?} = {:.3} x aws-lc {aws_lc:?}",
        mint.as_secs_f64() / openssl.as_secs_f64(),
        mint.as_secs_f64() / aws_lc.as_secs_f64(),
    );
}

fn minting(criterion: &mut Criterion) {
    for size in [KeySize::Rsa2048, KeySize::Rsa3072] {
        let bench = Bench::new(size);
        let mut group = criterion.benchmark_group(format!("RSA-{}", size.bits()));
        group.bench_function("mint and sign", |b| b.iter(|| bench.mint()));
        group.bench_function("mint without signing", |b| b.iter(|| bench.mint_without_signing()));
        group.bench_function("bare signature, OpenSSL", |b| b.iter(|| bench.openssl()));
        group.bench_function("bare signature, aws-lc", |b| b.iter(|| bench.aws_lc()));
        group.finish();
        // Without `--bench` each operation is only tried once.
        if std::env::args().any(|argument| argument == "--bench") {
            ratio(size, &bench);
        }
    }
}

criterion_group!(benches, minting);
criterion_main!(benches);
