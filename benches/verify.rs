//! Verifying a signed response: xmlsec alone, and everything a reply goes through here, in one run.
//!
//! `cargo bench --bench verify`. Both take the same 2048-bit signed response of about 5 KB: the bare operation as XML,
//! ours as the form field. Ours decodes it, passes it through the gate, verifies it, parses what was signed again and
//! judges every part of it.

#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark shares the tests' forge"
)]

#[path = "../tests/it/hostile/c14n.rs"]
mod c14n;
#[path = "../tests/it/hostile/forge.rs"]
mod forge;

use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, criterion_group, criterion_main};
use forge::{Forge, Who, attributes};
use jiff::Timestamp;
use rolegate::catalog::{AttributeMap, GroupSource};
use rolegate::saml::gate::{Limits, Root, Sha1, admit};
use rolegate::saml::metadata::IdpMetadata;
use rolegate::signin::SignIn;
use rolegate::signin::saml::{Attempt, Settings};
use samael::crypto::{CertificateDer, Crypto, CryptoProvider};

const SP: &str = "https://broker.example/saml/idp/metadata";
const ACS: &str = "https://broker.example/saml/idp/acs";

fn verify(c: &mut Criterion) {
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let forge = Forge::new(SP, ACS, Some("_request"), now);
    let mut settings = Settings::new(
        "idp".parse().unwrap(),
        SP.to_owned(),
        ACS.parse().unwrap(),
        IdpMetadata::read(Forge::metadata().as_bytes(), None, now).unwrap(),
    );
    settings.attributes = AttributeMap {
        groups: Some(GroupSource { attribute: "groups".to_owned(), delimiter: None, prefix: None }),
        ..AttributeMap::default()
    };
    let judge = |form: &str| {
        let attempt = Attempt { request_id: "_request".to_owned(), sent_at: now, force_authn: false, demand: None };
        SignIn::resume(attempt).judge(form.as_bytes(), &settings, now).unwrap().into_reply()
    };
    let with_groups = |count: usize| {
        let groups: Vec<String> = (0..count).map(|i| format!("group-{i:04}")).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        forge.response_signed(|p| p.attributes = attributes(&[("email", &["asha@example.com"]), ("groups", &groups)]))
    };

    let typical = with_groups(20);
    let xml = STANDARD.decode(&typical).unwrap();
    let certificate = CertificateDer::from(Who::Idp.identity().certificate.clone());
    // xmlsec is switched to silent and blind before anything is measured.
    judge(&typical);
    println!("response of {} bytes", xml.len());

    let mut group = c.benchmark_group("verify");
    group.bench_function("xmlsec alone", |b| {
        b.iter(|| Crypto::verify_signed_xml(black_box(&xml), &certificate, Some("ID")).unwrap());
    });
    group.bench_function("judge", |b| b.iter(|| judge(black_box(&typical))));
    group.bench_function("gate alone", |b| {
        b.iter(|| admit(black_box(&xml), Root::Response, &Limits::MESSAGE, Sha1::Refused).unwrap().signatures().len());
    });
    let large = with_groups(4000);
    group.sample_size(20);
    group.bench_function("judge, 4,000 groups", |b| b.iter(|| judge(black_box(&large))));
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
