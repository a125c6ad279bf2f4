use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret;
use url::Url;

use super::*;
use crate::issuance::Consoles;
use crate::issuance::fake::{Fake, KEY, NOW, Reply, form, permit};
use crate::issuance::federation::FederationSettings;
use crate::issuance::sts::{Addresses, StsSettings};
use crate::issuance::web_identity::OneKey;
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
        sts: Sts::new(http.clone(), sts, clock.clone()),
        federation: Federation::new(http, federation),
        regions: Regions::default(),
        clock,
        rng: Arc::new(SeededRng::new(2)),
    })
}

fn assertion(request: &str) -> String {
    String::from_utf8(STANDARD.decode(&form(request)["SAMLAssertion"]).unwrap()).unwrap()
}

fn too_long() -> Reply {
    let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    Reply::refusal(400, "ValidationError", text)
}

#[tokio::test]
async fn a_permit_becomes_credentials() {
    let fake = Fake::answering(vec![Reply::credentials("2026-11-21T20:00:00Z")]).await;
    let issued = issuer(&fake.url).credentials(permit("8h")).await.unwrap();
    assert_eq!(issued.credentials().secret_access_key.expose_secret(), "secret/marker+marker");
    assert_eq!(issued.role().to_string(), "arn:aws:iam::111122223333:role/teams/ReadOnly");
    assert_eq!(issued.session_name().as_str(), "asha@corp.example");
    assert_eq!((issued.asked().as_secs(), issued.granted().as_secs(), issued.is_shortened()), (28_800, 28_800, false));
    assert_eq!(issued.request_id(), Some("11111111-2222-3333-4444-555555555555"));
    assert_eq!(issued.region().as_str(), "us-east-1");
    assert!(issued.assumed_role_arn().unwrap().contains("assumed-role/ReadOnly"));
    let request = fake.requests().remove(0);
    assert_eq!(form(&request)["DurationSeconds"], "28800");
    assert!(assertion(&request).contains(&format!("ID=\"{}\"", issued.assertion_id())));
    assert!(!format!("{issued:?}").contains("marker"));
}

#[tokio::test]
async fn a_duration_above_the_roles_maximum_is_tried_again_with_one_hour() {
    let fake = Fake::answering(vec![too_long(), Reply::credentials("2026-11-21T13:00:00Z")]).await;
    let issued = issuer(&fake.url).credentials(permit("8h")).await.unwrap();
    assert!(issued.is_shortened());
    assert_eq!((issued.asked().as_secs(), issued.granted().as_secs()), (28_800, 3_600));
    let requests = fake.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(form(&requests[1])["DurationSeconds"], "3600");
    let (first, second) = (assertion(&requests[0]), assertion(&requests[1]));
    assert!(first.contains(">28800<") && second.contains(">3600<"));
    assert!(second.contains(issued.assertion_id()) && !first.contains(issued.assertion_id()));
}

#[tokio::test]
async fn a_duration_is_shortened_once_only() {
    for (duration, times) in [("8h", 2), ("1h", 1), ("15m", 1)] {
        let fake = Fake::answering(vec![too_long()]).await;
        let error = issuer(&fake.url).credentials(permit(duration)).await.unwrap_err();
        assert_eq!(error.code(), "sts-duration-above-maximum");
        assert_eq!(fake.requests().len(), times, "{duration}");
    }
}

#[tokio::test]
async fn another_refusal_is_not_tried_with_another_duration() {
    let fake =
        Fake::answering(vec![Reply::refusal(403, "AccessDenied", "Not authorized to perform sts:TagSession")]).await;
    let error = issuer(&fake.url).credentials(permit("8h")).await.unwrap_err();
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
    let issued = issuer.credentials(permit("1h")).await.unwrap();
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
            tokio::spawn(async move { issuer.credentials(permit("1h")).await.unwrap().assertion_id().to_owned() })
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
