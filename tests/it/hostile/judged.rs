//! The corpus, judged by the functions themselves.

use jiff::Timestamp;
use rolegate::identity::Groups;
use rolegate::saml::metadata::IdpMetadata;
use rolegate::signin::SignIn;
use rolegate::signin::saml::{
    Attempt, AttributeMap, GroupSource, SamlError, Settings, VerifiedReply, judge_unsolicited,
};

use super::forge::{Forge, decryption_key};
use super::{cases, honest};

const SP: &str = "https://broker.example/saml/idp/metadata";
const ACS: &str = "https://broker.example/saml/idp/acs";
const REQUEST: &str = "_request";

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn forge() -> Forge {
    Forge::new(SP, ACS, Some(REQUEST), now())
}

fn settings() -> Settings {
    let idp = IdpMetadata::read(Forge::metadata().as_bytes(), None, now()).unwrap();
    let connector = "idp".parse().unwrap();
    let mut settings = Settings::new(connector, SP.to_owned(), ACS.parse().unwrap(), idp);
    settings.decryption_keys = vec![decryption_key()];
    settings.attributes = AttributeMap {
        email: Some("email".to_owned()),
        name: Some("displayName".to_owned()),
        groups: Some(GroupSource { attribute: "groups".to_owned(), delimiter: None, prefix: None }),
        ..AttributeMap::default()
    };
    settings
}

fn attempt() -> Attempt {
    Attempt { request_id: REQUEST.to_owned(), sent_at: now(), force_authn: false }
}

fn judge(form: &str, settings: &Settings) -> Result<VerifiedReply, SamlError> {
    SignIn::resume(attempt()).judge(form.as_bytes(), settings, now()).map(SignIn::into_reply)
}

#[test]
fn every_honest_reply_is_believed() {
    let settings = settings();
    let mut failures = Vec::new();
    for case in honest::CASES {
        match judge(&(case.form)(&forge()), &settings) {
            Ok(reply) if reply.identity.subject.value == "asha" => {}
            Ok(reply) => failures.push(format!("{}: {:?}", case.name, reply.identity.subject)),
            Err(e) => failures.push(format!("{}: {} {e:?}", case.name, e.code())),
        }
    }
    assert!(honest::CASES.len() >= 25);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_read_from_an_honest_reply_is_what_was_signed() {
    let reply = judge(&forge().signed(|_| {}), &settings()).unwrap();
    assert_eq!(reply.identity.email.as_deref(), Some("asha@example.com"));
    assert_eq!(reply.identity.name.as_deref(), Some("Asha Rao"));
    assert_eq!(reply.identity.groups, Groups::Complete { values: vec!["engineering".into(), "payments".into()] });
    assert_eq!(reply.identity.authentication.session_index.as_deref(), Some("_session"));
    assert_eq!(reply.assertion_id, "_assertion");
    assert!(reply.replay_until > now());
}

#[test]
fn every_hostile_reply_is_refused_for_its_true_cause() {
    let settings = settings();
    let mut failures = Vec::new();
    for case in cases::CASES {
        match judge(&(case.form)(&forge()), &settings) {
            Ok(reply) => failures.push(format!("{}: ACCEPTED as {:?}", case.name, reply.identity.subject)),
            Err(e) if e.code() == case.expect => {}
            Err(e) => failures.push(format!("{}: {} instead of {}: {e:?}", case.name, e.code(), case.expect)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_reply_nobody_asked_for_needs_a_connector_that_takes_those() {
    let unasked = Forge::new(SP, ACS, None, now()).signed(|_| {});
    let mut settings = settings();
    let code =
        |form: &str, settings: &Settings| judge_unsolicited(form.as_bytes(), settings, now()).unwrap_err().code();
    assert_eq!(code(&unasked, &settings), "unsolicited");
    settings.idp_initiated = true;
    assert!(judge_unsolicited(unasked.as_bytes(), &settings, now()).is_ok());
    assert_eq!(code(&forge().signed(|_| {}), &settings), "in-response-to-wrong");
    assert_eq!(judge(&unasked, &settings).unwrap_err().code(), "in-response-to-missing");
}
