use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret;
use url::Url;

use super::*;
use crate::access::{Hop, SessionTag};
use crate::catalog::Secret;
use crate::issuance::Consoles;
use crate::issuance::fake::{Fake, KEY, NOW, ROLE, Reply, form, permit};
use crate::issuance::federation::FederationSettings;
use crate::issuance::sts::{Addresses, StsSettings};
use crate::issuance::web_identity::OneKey;
use crate::sys::seal::SealingKey;
use crate::sys::{ManualClock, SeededRng};

fn issuer(endpoint: &Url) -> Issuer {
    let http = crate::sys::http::client(Duration::from_secs(2)).unwrap();
    let sts = StsSettings {
        addresses: Addresses { everywhere: Some(endpoint.clone()), ..Addresses::default() },
        backoff: Duration::from_millis(1),
        ..StsSettings::default()
    };
    let mut federation = FederationSettings::new(Url::parse("https://broker.example/").unwrap());
    federation.endpoint = Some(endpoint.clone());
    let clock = Arc::new(ManualClock::at(NOW.parse().unwrap()));
    Issuer::new(Parts {
        entity_id: "https://broker.example/".to_owned(),
        signer: KEY.clone(),
        tokens: Minter { issuer: "https://broker.example".to_owned(), keys: Arc::new(OneKey(KEY.clone())) },
        sts: Sts::new(http.clone(), sts, clock.clone(), Arc::new(SeededRng::new(4))),
        federation: Federation::new(http, federation),
        regions: Regions::default(),
        clock,
        rng: Arc::new(SeededRng::new(2)),
        sealing: SealingKey::from_bytes([7; 32]),
    })
}

fn assertion(request: &str) -> String {
    String::from_utf8(STANDARD.decode(&form(request)["SAMLAssertion"]).unwrap()).unwrap()
}

fn proof(issued: &Issued) -> &str {
    let Some(Proof::Assertion(id)) = issued.proof() else { panic!("{:?}", issued.proof()) };
    id
}

fn too_long() -> Reply {
    let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    Reply::refusal(400, "ValidationError", text)
}

#[tokio::test]
async fn a_permit_becomes_credentials() {
    let fake = Fake::answering(vec![Reply::credentials("2026-11-21T20:00:00Z")]).await;
    let issued = issuer(&fake.url).credentials(permit("8h"), None).await.unwrap();
    assert_eq!(issued.credentials().secret_access_key.expose_secret(), "secret/marker+marker");
    assert_eq!(issued.role().to_string(), "arn:aws:iam::111122223333:role/teams/ReadOnly");
    assert_eq!(issued.session_name().as_str(), "asha@corp.example");
    assert_eq!((issued.asked().as_secs(), issued.granted().as_secs(), issued.is_shortened()), (28_800, 28_800, false));
    assert_eq!(issued.request_id(), Some("11111111-2222-3333-4444-555555555555"));
    assert_eq!(issued.region().as_str(), "us-east-1");
    assert!(issued.principal_arn().unwrap().contains("assumed-role/ReadOnly"));
    let request = fake.requests().remove(0);
    assert_eq!(form(&request)["DurationSeconds"], "28800");
    assert!(assertion(&request).contains(&format!("ID=\"{}\"", proof(&issued))));
    assert!(!format!("{issued:?}").contains("marker"));
}

#[tokio::test]
async fn a_duration_above_the_roles_maximum_is_tried_again_with_one_hour() {
    let fake = Fake::answering(vec![too_long(), Reply::credentials("2026-11-21T13:00:00Z")]).await;
    let issued = issuer(&fake.url).credentials(permit("8h"), None).await.unwrap();
    assert!(issued.is_shortened());
    assert_eq!((issued.asked().as_secs(), issued.granted().as_secs()), (28_800, 3_600));
    let requests = fake.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(form(&requests[1])["DurationSeconds"], "3600");
    let (first, second) = (assertion(&requests[0]), assertion(&requests[1]));
    assert!(first.contains(">28800<") && second.contains(">3600<"));
    assert!(second.contains(proof(&issued)) && !first.contains(proof(&issued)));
}

#[tokio::test]
async fn a_duration_is_shortened_once_only() {
    for (duration, times) in [("8h", 2), ("1h", 1), ("15m", 1)] {
        let fake = Fake::answering(vec![too_long()]).await;
        let error = issuer(&fake.url).credentials(permit(duration), None).await.unwrap_err();
        assert_eq!(error.code(), "sts-duration-above-maximum");
        assert_eq!(fake.requests().len(), times, "{duration}");
    }
}

#[tokio::test]
async fn another_refusal_is_not_tried_with_another_duration() {
    let fake =
        Fake::answering(vec![Reply::refusal(403, "AccessDenied", "Not authorized to perform sts:TagSession")]).await;
    let error = issuer(&fake.url).credentials(permit("8h"), None).await.unwrap_err();
    assert!(error.sentence().contains("sts:TagSession"));
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn issued_credentials_open_the_console() {
    let fake = Fake::answering(vec![
        Reply::credentials("2026-11-21T13:00:00Z"),
        Reply::new(200, r#"{"SigninToken":"sign-in-marker"}"#),
    ])
    .await;
    let issuer = issuer(&fake.url);
    let issued = issuer.credentials(permit("1h"), None).await.unwrap();
    let home = Consoles::default().home(Partition::Aws, &"eu-west-1".parse().unwrap());
    let login = issuer.console(&issued, &home).await.unwrap();
    assert!(login.expose().contains("SigninToken=sign-in-marker"));
    assert!(form(&fake.requests()[1])["Session"].contains("ASIAEXAMPLEEXAMPLE12"));
}

#[tokio::test]
async fn many_at_once_are_all_served() {
    let fake = Fake::answering(vec![Reply::credentials("2026-11-21T13:00:00Z")]).await;
    let issuer = Arc::new(issuer(&fake.url));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let issuer = Arc::clone(&issuer);
            tokio::spawn(async move {
                issuer.credentials(permit("1h"), None).await.map(|issued| proof(&issued).to_owned()).unwrap()
            })
        })
        .collect();
    let mut ids = std::collections::BTreeSet::new();
    for task in tasks {
        ids.insert(task.await.unwrap());
    }
    assert_eq!(ids.len(), 20, "every request has an assertion of its own");
}

#[test]
fn a_region_is_used_in_its_own_partition_only() {
    let regions = Regions::default().with("eu-west-1".parse().unwrap());
    assert_eq!(regions.of(Partition::Aws).as_str(), "eu-west-1");
    assert_eq!(regions.of(Partition::AwsCn).as_str(), "cn-north-1");
    assert_eq!(regions.of(Partition::AwsUsGov).as_str(), "us-gov-west-1");
}

#[test]
fn fallback_regions_follow_the_main_one_in_their_own_partition() {
    let region = |name: &str| name.parse::<Region>().unwrap();
    let fallback = ["us-west-2", "cn-northwest-1", "eu-west-1", "eu-central-1", "us-west-2"].map(region);
    let regions = Regions::default().with(region("eu-west-1")).with_fallback(fallback.to_vec());
    let in_order = |partition| regions.in_order(partition, None).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(in_order(Partition::Aws), ["eu-west-1", "us-west-2", "eu-central-1"]);
    assert_eq!(in_order(Partition::AwsCn), ["cn-north-1", "cn-northwest-1"]);
    assert_eq!(in_order(Partition::AwsUsGov), ["us-gov-west-1"]);
    let wished = regions.in_order(Partition::Aws, Some(&region("us-west-2")));
    assert_eq!(wished.iter().map(Region::as_str).collect::<Vec<_>>(), ["us-west-2", "eu-west-1", "eu-central-1"]);
}

fn tag(key: &str, transitive: bool) -> SessionTag {
    SessionTag { key: key.to_owned(), value: "x".to_owned(), transitive }
}

/// From a hub over another one to `teams/ReadOnly`.
fn chain() -> Means {
    let role = |account: &str, name: &str| format!("arn:aws:iam::{account}:role/{name}").parse::<RoleArn>().unwrap();
    let provider = "arn:aws:iam::999988887777:saml-provider/rolegate".parse().unwrap();
    Means::Chain {
        entry: Entry {
            by: Believes::Saml(provider),
            role: role("999988887777", "Hub"),
            region: Some("eu-west-1".parse().unwrap()),
            tags: vec![tag("team", true)],
        },
        hops: vec![
            Hop { role: role("444455556666", "Middle"), region: None, external_id: None, tags: vec![] },
            Hop {
                role: role("111122223333", "teams/ReadOnly"),
                region: None,
                external_id: Some("rolegate-1".parse().unwrap()),
                tags: vec![tag("desk", false), tag("floor", true)],
            },
        ],
    }
}

fn key(secret: Secret) -> UserKey {
    UserKey {
        id: "legacy".parse().unwrap(),
        account: "111122223333".parse().unwrap(),
        user: "uploads".parse().unwrap(),
        access_key_id: "SBUKEXAMPLEEXAMPLE12".parse().unwrap(),
        secret_access_key: secret,
    }
}

fn reads() -> SessionPolicy {
    let document = r#"{"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}"#;
    SessionPolicy::new(Some(document.parse().unwrap()), vec![]).unwrap()
}

/// Who signed, and for which region.
fn credential(request: &str) -> Option<&str> {
    let (_, rest) = request.split_once("Credential=")?;
    rest.split_once(',').map(|(scope, _)| scope)
}

#[tokio::test]
async fn a_chain_goes_from_role_to_role_and_each_hub_may_only_go_on() {
    let fake = Fake::answering(vec![
        Reply::of("AssumeRoleWithSAML", "ASIAHUBHUBHUBHUBHUB1", ""),
        Reply::of("AssumeRole", "ASIAMIDDLEMIDDLEMID1", ""),
        Reply::of("AssumeRole", "ASIAENDENDENDENDEND1", ""),
    ])
    .await;
    let issued = issuer(&fake.url).credentials(permit("1h").by(chain(), reads()), None).await.unwrap();
    assert_eq!(issued.credentials().access_key_id, "ASIAENDENDENDENDEND1");
    assert_eq!((issued.method(), issued.console()), ("chain", Console::Yes));
    let passed: Vec<(String, &str)> =
        issued.passed().iter().map(|hub| (hub.role.to_string(), hub.access_key_id.as_str())).collect();
    assert_eq!(
        passed,
        [
            ("arn:aws:iam::999988887777:role/Hub".to_owned(), "ASIAHUBHUBHUBHUBHUB1"),
            ("arn:aws:iam::444455556666:role/Middle".to_owned(), "ASIAMIDDLEMIDDLEMID1"),
        ]
    );
    let requests = fake.requests();
    let [first, second, third] = requests.as_slice() else { panic!("{requests:#?}") };

    assert_eq!(credential(first), None, "our word needs no signature");
    let sent = form(first);
    assert_eq!(sent["PrincipalArn"], "arn:aws:iam::999988887777:saml-provider/rolegate");
    assert_eq!(sent["DurationSeconds"], "900", "a hub is held as short as can be");
    assert!(sent["Policy"].contains("\"Resource\":\"arn:aws:iam::444455556666:role/Middle\""), "{}", sent["Policy"]);
    let assertion = assertion(first);
    assert!(assertion.contains("arn:aws:iam::999988887777:role/Hub,"), "{assertion}");
    assert!(assertion.contains("PrincipalTag:team") && assertion.contains("TransitiveTagKeys"), "{assertion}");
    assert!(assertion.contains("SourceIdentity"), "{assertion}");

    assert_eq!(credential(second), Some("ASIAHUBHUBHUBHUBHUB1/20261121/us-east-1/sts/aws4_request"));
    assert!(second.to_lowercase().contains("x-amz-security-token: token/marker"), "{second}");
    let sent = form(second);
    assert_eq!((sent["Action"].as_str(), sent["DurationSeconds"].as_str()), ("AssumeRole", "900"));
    assert_eq!(sent["RoleSessionName"], "asha@corp.example");
    assert!(sent["Policy"].contains("role/teams/ReadOnly") && !sent["Policy"].contains("s3:Get"), "{}", sent["Policy"]);
    assert!(!sent.contains_key("ExternalId") && !sent.contains_key("SourceIdentity"));
    assert!(!sent.keys().any(|name| name.starts_with("Tags")), "what goes along is there already: {sent:?}");

    assert_eq!(credential(third), Some("ASIAMIDDLEMIDDLEMID1/20261121/us-east-1/sts/aws4_request"));
    let sent = form(third);
    assert_eq!((sent["RoleArn"].as_str(), sent["DurationSeconds"].as_str()), (ROLE, "3600"));
    assert_eq!((sent["ExternalId"].as_str(), sent["RoleSessionName"].as_str()), ("rolegate-1", "asha@corp.example"));
    assert_eq!(sent["Policy"], reads().inline().unwrap());
    assert_eq!((sent["Tags.member.1.Key"].as_str(), sent["Tags.member.2.Key"].as_str()), ("desk", "floor"));
    assert_eq!(sent["TransitiveTagKeys.member.1"], "floor");
    assert!(!format!("{issued:?}").contains("marker"));
}

#[tokio::test]
async fn a_chain_that_breaks_says_where() {
    let denied = Reply::refusal(
        403,
        "AccessDenied",
        "User: arn:aws:sts::999988887777:assumed-role/Hub/asha is not authorized to perform: sts:AssumeRole on resource: x",
    );
    for (replies, number, role) in [
        (vec![denied.clone()], 1, "arn:aws:iam::999988887777:role/Hub"),
        (vec![Reply::of("AssumeRoleWithSAML", "A", ""), denied.clone()], 2, "arn:aws:iam::444455556666:role/Middle"),
        (
            vec![Reply::of("AssumeRoleWithSAML", "A", ""), Reply::of("AssumeRole", "B", ""), denied.clone()],
            3,
            "arn:aws:iam::111122223333:role/teams/ReadOnly",
        ),
    ] {
        let fake = Fake::answering(replies).await;
        let permit = permit("1h").by(chain(), SessionPolicy::default());
        let error = issuer(&fake.url).credentials(permit, None).await.unwrap_err();
        let step = error.step().unwrap().clone();
        assert_eq!((step.number, step.of, step.role.to_string().as_str()), (number, 3, role));
        assert_eq!(error.sts().unwrap().refusal().unwrap().code, "AccessDenied");
        let (sentence, detail) = (error.sentence(), error.to_string());
        assert!(sentence.contains(&format!("in 3 steps, and it went wrong at step {number}")), "{sentence}");
        assert!(detail.starts_with(&format!("step {number} of 3, {role}: ")), "{detail}");
        assert_eq!(fake.requests().len(), number, "nothing is tried behind it");
    }
}

#[tokio::test]
async fn a_federation_token_is_signed_by_the_sealed_key_and_always_limited() {
    let sealing = SealingKey::from_bytes([7; 32]);
    let given = Secret::Given("secret+of/the+user".into());
    let sealed = given.sealed(&key(given.clone()).id, None, &sealing, &SeededRng::new(1));
    let fake =
        Fake::answering(vec![Reply::of("GetFederationToken", "ASIAEXAMPLEEXAMPLE34", "asha@corp.example")]).await;
    let means = || Means::FederationToken(key(sealed.clone()));
    let issued = issuer(&fake.url).credentials(permit("36h").by(means(), reads()), None).await.unwrap();
    assert_eq!(issued.principal_arn(), Some("arn:aws:sts::111122223333:federated-user/asha@corp.example"));
    assert_eq!(
        (issued.method(), issued.console(), issued.packed_percent()),
        ("federation-token", Console::Yes, Some(12))
    );
    assert_eq!(issued.key().unwrap().1.as_str(), "SBUKEXAMPLEEXAMPLE12");
    assert!(issued.proof().is_none() && issued.passed().is_empty());
    let request = fake.requests().remove(0);
    assert_eq!(credential(&request), Some("SBUKEXAMPLEEXAMPLE12/20261121/us-east-1/sts/aws4_request"));
    assert!(!request.to_lowercase().contains("x-amz-security-token"), "{request}");
    assert!(!request.contains("secret"), "{request}");
    let sent = form(&request);
    assert_eq!((sent["Name"].as_str(), sent["DurationSeconds"].as_str()), ("asha@corp.example", "129600"));
    assert_eq!((sent["Policy"].as_str(), sent["Tags.member.1.Key"].as_str()), (reads().inline().unwrap(), "team"));

    let unlimited = permit("1h").by(means(), SessionPolicy::default());
    let refused = issuer(&fake.url).credentials(unlimited, None).await.unwrap_err();
    assert_eq!(refused.code(), "no-session-policy");
    let elsewhere = given.sealed(&"another".parse::<UserKeyId>().unwrap(), None, &sealing, &SeededRng::new(1));
    let carried = permit("1h").by(Means::FederationToken(key(elsewhere)), reads());
    let refused = issuer(&fake.url).credentials(carried, None).await.unwrap_err();
    assert_eq!(refused.code(), "key-not-opened");
    assert!(refused.sentence().contains("seal it again"));
    assert_eq!(fake.requests().len(), 1, "neither was asked");
}

#[tokio::test]
async fn a_session_token_needs_a_code_and_opens_no_console() {
    let fake = Fake::answering(vec![Reply::of("GetSessionToken", "ASIAEXAMPLEEXAMPLE56", "")]).await;
    let issuer = issuer(&fake.url);
    let means = |serial: Option<&str>| Means::SessionToken {
        key: key(Secret::Given("secret".into())),
        mfa_serial: serial.map(|serial| serial.parse().unwrap()),
    };
    let ask = |serial: Option<&str>| permit("12h").by(means(serial), SessionPolicy::default());
    let mfa =
        |serial: Option<&str>| Mfa { serial: serial.map(|s| s.parse().unwrap()), code: "654321".parse().unwrap() };
    let named = "arn:aws:iam::111122223333:mfa/uploads";
    assert_eq!(issuer.credentials(ask(Some(named)), None).await.unwrap_err().code(), "no-mfa");
    assert_eq!(issuer.credentials(ask(None), Some(&mfa(None))).await.unwrap_err().code(), "no-mfa");
    assert!(fake.requests().is_empty());

    // What the catalog names counts before what is typed.
    let issued = issuer.credentials(ask(Some(named)), Some(&mfa(Some("GAHT12345678")))).await.unwrap();
    let sent = form(&fake.requests()[0]);
    assert_eq!((sent["SerialNumber"].as_str(), sent["TokenCode"].as_str()), (named, "654321"));
    assert_eq!(sent["DurationSeconds"], "43200");
    assert_eq!(issued.principal_arn(), Some("arn:aws:iam::111122223333:user/uploads"));
    let Console::No(reason) = issued.console() else { panic!() };
    assert!(reason.contains("opens no console"), "{reason}");
    let home = Consoles::default().home(Partition::Aws, &"us-east-1".parse().unwrap());
    let refused = issuer.console(&issued, &home).await.unwrap_err();
    assert_eq!((refused.code(), refused.sentence()), ("console-impossible", reason));
    assert_eq!(fake.requests().len(), 1, "the federation endpoint was not asked");
    assert!(!format!("{issued:?}").contains("654321"));

    issuer.credentials(ask(None), Some(&mfa(Some("GAHT12345678")))).await.unwrap();
    assert_eq!(form(&fake.requests()[1])["SerialNumber"], "GAHT12345678");
}

#[tokio::test]
async fn a_token_of_ours_opens_a_role_that_believes_it() {
    let fake = Fake::answering(vec![Reply::of("AssumeRoleWithWebIdentity", "ASIAEXAMPLEEXAMPLE78", "")]).await;
    let means = Means::Federated(Believes::WebIdentity("rolegate".parse().unwrap()));
    let issued = issuer(&fake.url).credentials(permit("1h").by(means, SessionPolicy::default()), None).await.unwrap();
    assert_eq!((issued.method(), issued.console()), ("web-identity", Console::Yes));
    let sent = form(&fake.requests()[0]);
    let claims = sent["WebIdentityToken"].split('.').nth(1).unwrap();
    let claims = String::from_utf8(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert!(claims.contains("\"aud\":\"rolegate\"") && claims.contains(ROLE), "{claims}");
    let Some(Proof::Token(id)) = issued.proof() else { panic!("{:?}", issued.proof()) };
    assert!(claims.contains(id.as_str()), "{claims}");
    assert_eq!((sent["RoleArn"].as_str(), sent["RoleSessionName"].as_str()), (ROLE, "asha@corp.example"));
}
