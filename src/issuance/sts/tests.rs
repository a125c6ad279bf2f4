use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::addresses::Place;
use super::*;
use crate::aws::{EndpointKind, Partition, Region, RoleArn, SessionName, SessionPolicy, SourceIdentity};
use crate::issuance::assertion::Assertion;
use crate::issuance::breaker::{FAILURES, FAILURES_BESIDE_ANOTHER, Failure};
use crate::issuance::fake::{Fake, KEY, NOW, ROLE, Reply, asha, form, hour};
use crate::issuance::web_identity::{self, Statement};
use crate::sys::{Clock as _, ManualClock, SeededRng};

fn sts(max_attempts: u32, endpoint: Option<&Url>, clock: &Arc<ManualClock>) -> Sts {
    let settings = StsSettings {
        addresses: Addresses { everywhere: endpoint.cloned(), ..Addresses::default() },
        attempt_timeout: Duration::from_millis(900),
        total_timeout: Duration::from_secs(3),
        max_attempts,
        backoff: Duration::from_millis(1),
    };
    let http = crate::sys::http::client(Duration::from_secs(2)).unwrap();
    Sts::new(http, settings, clock.clone(), Arc::new(SeededRng::new(5)))
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(NOW.parse().unwrap()))
}

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

/// Asks with an assertion that only looks like one.
async fn asking<T>(ask: impl AsyncFnOnce(Operation<'_>) -> T) -> T {
    let role: RoleArn = ROLE.parse().unwrap();
    let provider = "arn:aws:iam::111122223333:saml-provider/rolegate".parse().unwrap();
    let assertion = Assertion { id: "_a".to_owned(), response: SecretString::from("YXNzZXJ0aW9u+/==") };
    let session_policy = SessionPolicy::default();
    let (duration, session_policy) = (hour(), &session_policy);
    ask(Operation::AssumeRoleWithSaml(AssumeRoleWithSaml {
        role: &role,
        provider: &provider,
        assertion: &assertion,
        duration,
        session_policy,
    }))
    .await
}

async fn assume(url: &Url) -> Result<Answer, StsError> {
    let sts = sts(3, Some(url), &clock());
    asking(async |asked| sts.ask(asked, Partition::Aws, &[region("eu-west-1")]).await).await
}

async fn refused(status: u16, code: &str, message: &str) -> StsError {
    let fake = Fake::answering(vec![Reply::refusal(status, code, message)]).await;
    assume(&fake.url).await.unwrap_err()
}

#[tokio::test]
async fn an_assertion_becomes_credentials() {
    let fake = Fake::answering(vec![Reply::credentials("2026-11-21T13:00:00Z")]).await;
    let assumed = assume(&fake.url).await.unwrap();
    assert_eq!(assumed.credentials.access_key_id, "ASIAEXAMPLEEXAMPLE12");
    assert_eq!(assumed.credentials.secret_access_key.expose_secret(), "secret/marker+marker");
    assert_eq!(assumed.credentials.session_token.expose_secret(), "token/marker+marker==");
    assert_eq!(assumed.credentials.expiration.to_string(), "2026-11-21T13:00:00Z");
    assert_eq!(
        assumed.principal_arn.as_deref(),
        Some("arn:aws:sts::111122223333:assumed-role/ReadOnly/asha@corp.example")
    );
    assert_eq!(assumed.request_id.as_deref(), Some("11111111-2222-3333-4444-555555555555"));
    assert!(!format!("{assumed:?}").contains("marker"));
}

#[tokio::test]
async fn the_request_is_unsigned_and_says_exactly_what_was_asked() {
    let fake = Fake::answering(vec![Reply::credentials("2026-11-21T13:00:00Z")]).await;
    assume(&fake.url).await.unwrap();
    let request = fake.requests().remove(0);
    let head = request.split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase();
    assert!(head.starts_with("post / http/1.1"), "{head}");
    assert!(!head.contains("authorization") && !head.contains("x-amz-security-token"), "{head}");
    let form = form(&request);
    let expected = [
        ("Action", "AssumeRoleWithSAML"),
        ("DurationSeconds", "3600"),
        ("PrincipalArn", "arn:aws:iam::111122223333:saml-provider/rolegate"),
        ("RoleArn", ROLE),
        ("SAMLAssertion", "YXNzZXJ0aW9u+/=="),
        ("Version", "2011-06-15"),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

/// What each refusal means is told beside the table of reasons.
#[tokio::test]
async fn a_refusal_keeps_the_words_of_sts_and_shows_them_to_nobody() {
    for (status, code, message, stable) in [
        (403, "AccessDenied", "Not authorized to perform sts:TagSession", "sts-tags-not-allowed"),
        (400, "InvalidIdentityToken", "Response signature invalid", "sts-signature-invalid"),
        (404, "SomethingNew", "what", "sts-unknown"),
    ] {
        let error = refused(status, code, message).await;
        assert_eq!(error.code(), stable);
        let refusal = error.refusal().unwrap();
        assert_eq!((refusal.code.as_str(), refusal.message.as_str()), (code, message));
        assert_eq!(refusal.request_id.as_deref(), Some("99999999-2222-3333-4444-555555555555"));
        assert!(error.to_string().contains(message) && error.to_string().contains("99999999-2222"), "{error}");
        assert!(!error.is_temporary() && error.retry_after().is_none());
        assert!(!error.sentence().contains(code) && !error.sentence().contains(message));
    }
}

#[tokio::test]
async fn only_what_may_pass_is_tried_again() {
    for (status, code, times) in [
        (400, "Throttling", 3),
        (500, "InternalFailure", 3),
        (503, "ServiceUnavailable", 3),
        (400, "InvalidIdentityToken", 1),
        (400, "ExpiredTokenException", 1),
        (403, "AccessDenied", 1),
        (400, "ValidationError", 1),
    ] {
        let fake = Fake::answering(vec![Reply::refusal(status, code, "text")]).await;
        let error = assume(&fake.url).await.unwrap_err();
        assert_eq!(fake.requests().len(), times, "{code}");
        assert_eq!(error.is_temporary(), times == 3, "{code}: {error}");
    }
    assert_eq!(refused(400, "Throttling", "Rate exceeded").await.code(), "sts-throttled");
    assert_eq!(refused(503, "ServiceUnavailable", "text").await.code(), "sts-unavailable");
}

#[tokio::test]
async fn a_failure_that_passes_is_not_noticed() {
    let fake = Fake::answering(vec![
        Reply::refusal(503, "ServiceUnavailable", "text"),
        Reply::refusal(400, "Throttling", "Rate exceeded"),
        Reply::credentials("2026-11-21T13:00:00Z"),
    ])
    .await;
    assert!(assume(&fake.url).await.is_ok());
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn silence_ends_in_time() {
    let fake = Fake::answering(vec![Reply::never()]).await;
    let began = Instant::now();
    let error = assume(&fake.url).await.unwrap_err();
    assert!(matches!(error, StsError::TimedOut), "{error}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(error.is_temporary());
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = assume(&url).await.unwrap_err();
    assert!(matches!(error, StsError::Unreachable(_)), "{error}");
    assert_eq!(error.code(), "sts-unreachable");
}

#[tokio::test]
async fn an_answer_that_is_none_gives_no_credentials() {
    let whole = Reply::credentials("2026-11-21T13:00:00Z").body;
    for body in [
        "".to_owned(),
        "<html></html>".to_owned(),
        whole.replace("2026-11-21T13:00:00Z", "tomorrow"),
        whole.replace("token/marker+marker==", "x'; rm -rf / #"),
        whole.replace("secret/marker+marker", ""),
        whole.replace("Credentials>", "Nothing>"),
        "<a>".repeat(100_000),
    ] {
        let fake = Fake::answering(vec![Reply::new(200, body.clone())]).await;
        let error = assume(&fake.url).await.unwrap_err();
        let text = format!("{error:?} {error}");
        assert!(!text.contains("marker"), "{text}");
        assert!(
            matches!(error, StsError::BadAnswer(_) | StsError::Unreachable(_)),
            "{text}: {}",
            &body[..body.len().min(80)]
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fake = Fake::answering(vec![Reply::new(302, "")]).await;
    assert!(assume(&fake.url).await.is_err());
    assert!(fake.requests().iter().all(|request| !request.contains("/moved")));
}

#[tokio::test]
async fn an_assertion_echoed_in_a_refusal_is_not_kept() {
    let echoed = "A".repeat(300);
    let error = refused(400, "ValidationError", &format!("Value '{echoed}' at 'sAMLAssertion' failed")).await;
    assert_eq!(error.refusal().unwrap().message, "Value '… at 'sAMLAssertion' failed");
    let long = refused(400, "ValidationError", &"word ".repeat(1000)).await;
    assert!(long.refusal().unwrap().message.len() < 520);
}

/// STS in some regions, each a fake; one alone is asked without retries.
struct World {
    sts: Sts,
    clock: Arc<ManualClock>,
    places: Vec<Place>,
}

impl World {
    fn of(regions: &[(&str, &Fake)]) -> Self {
        let clock = clock();
        let places = regions.iter().map(|(name, fake)| Place { region: region(name), url: fake.url.clone() });
        let attempts = if regions.len() == 1 { 1 } else { 6 };
        Self { sts: sts(attempts, None, &clock), places: places.collect(), clock }
    }

    /// The region that answered, or the code of the error.
    async fn ask(&self) -> Result<String, &'static str> {
        let answer = asking(async |asked| self.sts.first_to_answer(asked, &self.places).await).await;
        answer.map(|assumed| assumed.region.to_string()).map_err(|error| error.code())
    }

    /// Has a region fail until it is left alone.
    fn break_down(&self, place: usize) {
        let endpoint = self.sts.endpoints.of(&self.places[place].url);
        let quick = Failure { slow: false, another: false };
        (0..FAILURES).for_each(|_| endpoint.failed("AssumeRoleWithSAML", &StsError::TimedOut, quick, self.clock.now()));
    }
}

fn well() -> Reply {
    Reply::credentials("2026-11-21T13:00:00Z")
}

fn failing() -> Reply {
    Reply::refusal(503, "ServiceUnavailable", "text")
}

fn denying() -> Reply {
    Reply::refusal(403, "AccessDenied", "Access denied")
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_left_alone_and_says_so_at_once() {
    let fake = Fake::answering(vec![failing()]).await;
    let world = World::of(&[("eu-west-1", &fake)]);
    for _ in 0..FAILURES {
        assert_eq!(world.ask().await, Err("sts-unavailable"));
    }
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(world.ask().await, Err("sts-left-alone"));
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?} for a hundred", began.elapsed());
    assert_eq!(fake.requests().len(), FAILURES);
    assert!(StsError::LeftAlone.is_temporary() && StsError::LeftAlone.sentence().contains("try again"));
}

#[tokio::test]
async fn a_fallback_region_answers_for_one_that_fails_and_soon_without_asking_it() {
    let (main, fallback) = (Fake::answering(vec![failing()]).await, Fake::answering(vec![well()]).await);
    let world = World::of(&[("eu-west-1", &main), ("eu-central-1", &fallback)]);
    for _ in 0..FAILURES_BESIDE_ANOTHER + 3 {
        assert_eq!(world.ask().await.as_deref(), Ok("eu-central-1"));
    }
    assert_eq!(main.requests().len(), FAILURES_BESIDE_ANOTHER);
    let body = |request: &String| request.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&main.requests()[0]), body(&fallback.requests()[0]), "the same is asked, with the same assertion");
}

#[tokio::test]
async fn a_region_that_hangs_leaves_time_for_the_next() {
    let (main, fallback) = (Fake::answering(vec![Reply::never()]).await, Fake::answering(vec![well()]).await);
    let world = World::of(&[("eu-west-1", &main), ("eu-central-1", &fallback)]);
    assert_eq!(world.ask().await.as_deref(), Ok("eu-central-1"));
}

#[tokio::test]
async fn a_probe_that_is_answered_brings_the_main_region_back() {
    let (main, fallback) = (Fake::answering(vec![well()]).await, Fake::answering(vec![well()]).await);
    let world = World::of(&[("eu-west-1", &main), ("eu-central-1", &fallback)]);
    world.break_down(0);
    world.clock.advance_secs(9);
    assert_eq!(world.ask().await.as_deref(), Ok("eu-central-1"));
    assert!(main.requests().is_empty());
    world.clock.advance_secs(1);
    for _ in 0..2 {
        assert_eq!(world.ask().await.as_deref(), Ok("eu-west-1"));
    }
}

#[tokio::test]
async fn of_a_crowd_one_is_the_probe_and_its_call_is_tried_once() {
    let slow_and_failing = Reply { delay: Duration::from_millis(100), ..failing() };
    let (main, fallback) = (Fake::answering(vec![slow_and_failing]).await, Fake::answering(vec![well()]).await);
    let world = World::of(&[("eu-west-1", &main), ("eu-central-1", &fallback)]);
    world.break_down(0);
    world.clock.advance_secs(10);
    let crowd = futures_util::future::join_all((0..10).map(|_| world.ask())).await;
    assert!(crowd.iter().all(|answer| answer.as_deref() == Ok("eu-central-1")), "{crowd:?}");
    assert_eq!(main.requests().len(), 1);
    assert_eq!(world.ask().await.as_deref(), Ok("eu-central-1"));
    assert_eq!(main.requests().len(), 1, "and the cool-down begins again");
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let (main, fallback) = (Fake::answering(vec![denying()]).await, Fake::answering(vec![well()]).await);
    let world = World::of(&[("eu-west-1", &main), ("eu-central-1", &fallback)]);
    for _ in 0..2 * FAILURES {
        assert_eq!(world.ask().await, Err("sts-trust-policy-refuses"));
    }
    assert_eq!(main.requests().len(), 2 * FAILURES, "it opens no breaker");
    assert!(fallback.requests().is_empty(), "and no other region is asked for a kinder one");
}

#[tokio::test]
async fn a_refusal_between_failures_begins_their_count_again() {
    let mut replies = vec![failing(); FAILURES - 1];
    replies.push(denying());
    replies.extend(vec![failing(); FAILURES - 1]);
    replies.push(well());
    let calls = replies.len();
    let main = Fake::answering(replies).await;
    let world = World::of(&[("eu-west-1", &main)]);
    for _ in 1..calls {
        assert!(world.ask().await.is_err());
    }
    assert_eq!(world.ask().await.as_deref(), Ok("eu-west-1"));
}

#[tokio::test]
async fn a_fallback_region_that_refuses_ends_the_search() {
    let (main, second) = (Fake::answering(vec![failing()]).await, Fake::answering(vec![denying()]).await);
    let third = Fake::answering(vec![well()]).await;
    let world = World::of(&[("eu-west-1", &main), ("eu-central-1", &second), ("eu-north-1", &third)]);
    assert_eq!(world.ask().await, Err("sts-trust-policy-refuses"));
    assert!(third.requests().is_empty());
}

#[tokio::test]
async fn all_left_alone_is_said_at_once_and_what_one_of_them_said_is_said_first() {
    let (main, fallback) = (
        Fake::answering(vec![Reply::refusal(400, "Throttling", "Rate exceeded")]).await,
        Fake::answering(vec![well()]).await,
    );
    let world = World::of(&[("eu-west-1", &main), ("eu-central-1", &fallback)]);
    world.break_down(1);
    assert_eq!(world.ask().await, Err("sts-throttled"));
    world.break_down(0);
    let began = Instant::now();
    assert_eq!(world.ask().await, Err("sts-left-alone"));
    assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
    assert!(fallback.requests().is_empty());
}

#[tokio::test]
async fn a_full_endpoint_sends_people_to_the_next_and_is_not_held_against_it() {
    let (main, fallback) = (Fake::answering(vec![well()]).await, Fake::answering(vec![well()]).await);
    let mut world = World::of(&[("eu-west-1", &main), ("eu-central-1", &fallback)]);
    let endpoint = world.sts.endpoints.of(&main.url);
    let mut in_hand = Vec::new();
    for _ in 0..crate::issuance::endpoint::CALLS {
        in_hand.push(endpoint.enter(&*world.clock).await.unwrap());
    }
    for _ in 0..3 {
        assert_eq!(world.ask().await.as_deref(), Ok("eu-central-1"));
    }
    world.places.pop();
    assert_eq!(world.ask().await, Err("sts-crowded"));
    assert!(StsError::Crowded.is_temporary());
    in_hand.pop();
    assert_eq!(world.ask().await.as_deref(), Ok("eu-west-1"), "one place is enough, and no breaker has opened");
}

#[test]
fn regions_have_addresses_and_what_is_at_one_address_is_one_place() {
    let url = |text: &str| -> Url { text.parse().unwrap() };
    let places = |addresses: &Addresses| {
        let regions = ["eu-west-1", "us-east-1", "eu-central-1"].map(region);
        let places = addresses.places(Partition::Aws, &regions)?;
        Ok(places.into_iter().map(|place| format!("{} {}", place.region, place.url)).collect::<Vec<_>>())
    };
    let aws = |region: &str| format!("{region} https://sts.{region}.amazonaws.com/");
    let mut addresses = Addresses::default();
    let found: Result<_, StsError> = places(&addresses);
    assert_eq!(found.unwrap(), ["eu-west-1", "us-east-1", "eu-central-1"].map(aws));
    addresses.by_region.insert(region("us-east-1"), url("https://vpce.example"));
    assert_eq!(
        places(&addresses).unwrap(),
        [aws("eu-west-1"), "us-east-1 https://vpce.example/".to_owned(), aws("eu-central-1")]
    );
    addresses.everywhere = Some(url("http://127.0.0.1:1"));
    assert_eq!(places(&addresses).unwrap(), ["eu-west-1 http://127.0.0.1:1/", "us-east-1 https://vpce.example/"]);
}

#[test]
fn where_validated_cryptography_is_wanted_no_region_without_it_is_called() {
    let kind = EndpointKind { fips: true, dual_stack: false };
    let addresses = Addresses { kind, ..Addresses::default() };
    let places = |regions: &[&str]| {
        let regions: Vec<Region> = regions.iter().map(|name| region(name)).collect();
        addresses.places(Partition::Aws, &regions)
    };
    let found = places(&["us-east-1", "eu-west-1", "us-west-2"]).unwrap();
    let hosts: Vec<_> = found.iter().map(|place| place.url.host_str().unwrap()).collect();
    assert_eq!(hosts, ["sts-fips.us-east-1.amazonaws.com", "sts-fips.us-west-2.amazonaws.com"]);
    let refused = places(&["eu-west-1", "us-east-1"]).unwrap_err();
    assert_eq!((refused.code(), refused.is_temporary()), ("sts-no-endpoint", false));
}

/// Asks with a token that was really minted.
async fn assume_with_token(url: &Url) -> (Result<Answer, StsError>, String) {
    let role: RoleArn = ROLE.parse().unwrap();
    let statement = Statement {
        issuer: "https://aws.corp.example",
        audience: "sts.amazonaws.com",
        subject: &asha(),
        role: &role,
        source_identity: &SourceIdentity::for_person("asha@corp.example"),
        tags: &[],
        transitive: &[],
    };
    let token = web_identity::mint(&statement, &**KEY, NOW.parse().unwrap(), &SeededRng::new(1)).unwrap();
    let session_name = SessionName::for_person("asha@corp.example");
    let operation = Operation::AssumeRoleWithWebIdentity(AssumeRoleWithWebIdentity {
        role: &role,
        session_name: &session_name,
        token: &token,
        duration: hour(),
        session_policy: &SessionPolicy::default(),
    });
    let answer = sts(3, Some(url), &clock()).ask(operation, Partition::Aws, &[region("eu-west-1")]).await;
    (answer, token.text().expose_secret().to_owned())
}

#[tokio::test]
async fn a_token_becomes_credentials_by_a_request_that_is_unsigned_and_says_exactly_what_was_asked() {
    let reply = Reply::credentials("2026-11-21T13:00:00Z");
    let body = reply.body.replace("AssumeRoleWithSAML", "AssumeRoleWithWebIdentity");
    let fake = Fake::answering(vec![Reply { body, ..reply }]).await;
    let (answer, token) = assume_with_token(&fake.url).await;
    let answer = answer.unwrap();
    assert_eq!(answer.credentials.access_key_id, "ASIAEXAMPLEEXAMPLE12");
    assert!(answer.principal_arn.unwrap().ends_with("assumed-role/ReadOnly/asha@corp.example"));
    let request = fake.requests().remove(0);
    let head = request.split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase();
    assert!(!head.contains("authorization") && !head.contains("x-amz-security-token"), "{head}");
    let expected = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("DurationSeconds", "3600"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "asha@corp.example"),
        ("Version", "2011-06-15"),
        ("WebIdentityToken", token.as_str()),
    ];
    assert_eq!(form(&request), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn where_sts_cannot_fetch_our_keys_it_is_asked_again_and_is_not_to_blame() {
    let text = "The identity provider could not be reached";
    let fake = Fake::answering(vec![Reply::refusal(400, "IDPCommunicationError", text)]).await;
    let (answer, _) = assume_with_token(&fake.url).await;
    let error = answer.unwrap_err();
    assert_eq!((error.code(), fake.requests().len()), ("sts-issuer-unreachable", 3));
    assert!(error.is_temporary() && !error.reason().is_silence(), "no breaker opens for it");
}

fn throttling() -> Reply {
    Reply::refusal(400, "Throttling", "Rate exceeded")
}

#[tokio::test]
async fn throttling_is_an_answer_and_after_four_the_next_region_is_asked() {
    let (main, fallback) = (Fake::answering(vec![throttling()]).await, Fake::answering(vec![well()]).await);
    let world = World::of(&[("eu-west-1", &main), ("eu-central-1", &fallback)]);
    for round in 1..=4 {
        assert_eq!(world.ask().await.as_deref(), Ok("eu-central-1"));
        assert_eq!(main.requests().len(), 4 * round, "no breaker has opened");
    }
    assert_eq!(world.sts.left_alone(Partition::Aws, &[region("eu-west-1")]), [None]);
}

#[tokio::test]
async fn where_nothing_but_throttling_came_for_long_calls_are_not_repeated_often() {
    let main = Fake::answering(vec![throttling()]).await;
    let world = World { sts: sts(20, None, &clock()), ..World::of(&[("eu-west-1", &main)]) };
    assert_eq!(world.ask().await, Err("sts-throttled"));
    assert_eq!(main.requests().len(), 20);
    assert_eq!(world.ask().await, Err("sts-throttled"));
    assert_eq!(main.requests().len(), 22);
}

#[tokio::test]
async fn whoever_waits_for_an_endpoint_that_is_given_up_goes_elsewhere_at_once() {
    let (main, fallback) = (Fake::answering(vec![Reply::never()]).await, Fake::answering(vec![well()]).await);
    let mut world = World::of(&[("eu-west-1", &main), ("eu-central-1", &fallback)]);
    let settings = StsSettings {
        attempt_timeout: Duration::from_secs(50),
        total_timeout: Duration::from_secs(60),
        ..StsSettings::default()
    };
    let http = crate::sys::http::client(Duration::from_secs(2)).unwrap();
    world.sts = Sts::new(http, settings, world.clock.clone(), Arc::new(SeededRng::new(5)));
    let began = Instant::now();
    let (answer, ()) = tokio::join!(world.ask(), async {
        while main.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.break_down(0);
    });
    assert_eq!(answer.as_deref(), Ok("eu-central-1"));
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "it did not wait for its own time to be up: {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn an_endpoint_that_is_out_is_looked_at_and_tried_once_it_answers() {
    let main = Fake::answering(vec![failing(), Reply::refusal(400, "ValidationError", "no"), well(), failing()]).await;
    let world = World::of(&[("eu-west-1", &main)]);
    world.sts.look().await;
    assert!(main.requests().is_empty(), "one that is well is not looked at");
    world.break_down(0);
    let since = world.clock.now();
    world.sts.look().await;
    assert!(main.requests().is_empty(), "not yet");
    for (looks, well) in [(1, false), (2, true)] {
        world.clock.advance_secs(10);
        world.sts.look().await;
        world.sts.look().await;
        assert_eq!((main.requests().len(), world.sts.is_well()), (looks, well));
    }
    let look = &main.requests()[1];
    assert!(look.starts_with("GET /?Action=AssumeRoleWithSAML&Version=2011-06-15 HTTP/1.1"), "{look}");
    assert_eq!(world.ask().await.as_deref(), Ok("eu-west-1"));
    assert!(world.clock.now() > since);
}

#[tokio::test]
async fn more_calls_than_there_is_room_for_are_refused_at_once() {
    let main = Fake::answering(vec![well()]).await;
    let world = World::of(&[("eu-west-1", &main)]);
    let under_way = world.sts.calls.try_acquire_many(client::MOST_CALLS as u32).unwrap();
    assert_eq!(world.ask().await, Err("sts-crowded"));
    assert!(main.requests().is_empty());
    assert!(StsError::Crowded.retry_after().is_some());
    drop(under_way);
    assert!(world.ask().await.is_ok());
}

#[tokio::test]
async fn every_attempt_is_counted_with_its_outcome() {
    let (main, fallback) = (Fake::answering(vec![failing()]).await, Fake::answering(vec![throttling(), well()]).await);
    let world = World::of(&[("eu-west-1", &main), ("eu-central-1", &fallback)]);
    assert_eq!(world.ask().await.as_deref(), Ok("eu-central-1"));
    world.break_down(0);
    assert_eq!(world.ask().await.as_deref(), Ok("eu-central-1"));
    let registry = crate::sys::metrics::Registry::default();
    registry.add(world.sts.figures());
    let page = registry.page();
    let operation = "operation=\"AssumeRoleWithSAML\"";
    let endpoint = |url: &Url| format!("endpoint=\"127.0.0.1:{}\"", url.port().unwrap());
    for line in [
        format!("rolegate_sts_attempts_total{{{operation},region=\"eu-west-1\",outcome=\"sts-unavailable\"}} 2"),
        format!("rolegate_sts_attempts_total{{{operation},region=\"eu-central-1\",outcome=\"sts-throttled\"}} 1"),
        format!("rolegate_sts_attempts_total{{{operation},region=\"eu-central-1\",outcome=\"ok\"}} 2"),
        format!("rolegate_sts_attempt_duration_seconds_count{{{operation},region=\"eu-west-1\"}} 2"),
        format!("rolegate_sts_call_duration_seconds_count{{{operation},outcome=\"ok\"}} 2"),
        "rolegate_sts_fallbacks_total{region=\"eu-central-1\"} 2".to_owned(),
        "rolegate_sts_held_back_total{region=\"eu-west-1\",reason=\"sts-left-alone\"} 1".to_owned(),
        format!("rolegate_sts_breaker_state{{{}}} 2", endpoint(&main.url)),
        format!("rolegate_sts_breaker_state{{{}}} 0", endpoint(&fallback.url)),
        format!("rolegate_sts_calls_in_hand{{{}}} 0", endpoint(&fallback.url)),
    ] {
        assert!(page.lines().any(|told| told == line), "{line} is missing in\n{page}");
    }
}

#[test]
fn pauses_are_drawn_from_nothing_up_to_a_bound_that_doubles_and_then_stays() {
    let sts = Sts::new(
        crate::sys::http::client(Duration::from_secs(2)).unwrap(),
        StsSettings::default(),
        clock(),
        Arc::new(SeededRng::new(6)),
    );
    for (attempts, bound) in [(1, 50), (2, 100), (3, 200), (4, 400), (5, 800), (6, 800), (40, 800)] {
        let drawn: Vec<u128> = (0..500).map(|_| sts.pause(attempts).as_millis()).collect();
        let (least, most) = (*drawn.iter().min().unwrap(), *drawn.iter().max().unwrap());
        assert!(least < bound / 10 && most <= bound && most > bound * 9 / 10, "{attempts}: {least} to {most}");
    }
}

#[test]
fn what_is_signed_is_signed_by_the_time_of_sts_once_it_has_complained() {
    let clock = clock();
    let sts = sts(3, None, &clock);
    let skewed = |said: Option<&str>| {
        let said = said.map(|said| said.parse().unwrap());
        StsError::Refused(Reason::ClockSkewed, Refusal { said, ..Refusal::default() })
    };
    assert!(!sts.has_set_the_clock(&skewed(None)), "it has not said its own");
    assert!(!sts.has_set_the_clock(&StsError::TimedOut));
    assert_eq!(sts.signs_at(), clock.now());
    assert!(sts.has_set_the_clock(&skewed(Some("2026-11-21T12:20:00Z"))));
    clock.advance_secs(60);
    assert_eq!(sts.signs_at().to_string(), "2026-11-21T12:21:00Z");
    assert!(sts.has_set_the_clock(&skewed(Some("2026-11-21T11:01:00Z"))), "it may be behind as well");
    assert_eq!(sts.signs_at().to_string(), "2026-11-21T11:01:00Z");
}
