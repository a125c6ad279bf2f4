use super::*;
use crate::issuance::Consoles;
use crate::issuance::fake::{Fake, Reply, form};
use crate::sys::SeededRng;

const NOW: &str = "2026-11-21T12:00:00Z";

fn credentials(expiration: &str) -> Credentials {
    Credentials {
        access_key_id: "ASIAEXAMPLE".to_owned(),
        secret_access_key: SecretString::from("se/cr+et="),
        session_token: SecretString::from("to/ke+n=="),
        expiration: expiration.parse().unwrap(),
    }
}

fn federation(endpoint: Option<&Url>) -> Federation {
    let settings = FederationSettings {
        endpoint: endpoint.cloned(),
        attempt_timeout: Duration::from_millis(300),
        backoff: Duration::from_millis(1),
        ..FederationSettings::new(Url::parse("https://broker.example/sign-in").unwrap())
    };
    Federation::new(crate::sys::http::client(Duration::from_secs(2)).unwrap(), settings)
}

async fn log_in(url: &Url) -> Result<ConsoleLogin, FederationError> {
    let region = "eu-west-1".parse().unwrap();
    let destination = Consoles::default()
        .parse("https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1#/b", Partition::Aws)
        .unwrap();
    federation(Some(url))
        .log_in(
            &credentials("2026-11-21T13:00:00Z"),
            Partition::Aws,
            &region,
            &destination,
            NOW.parse().unwrap(),
            &SeededRng::new(1),
        )
        .await
}

fn token(value: &str) -> Reply {
    Reply::new(200, format!(r#"{{"SigninToken":"{value}","Other":1}}"#))
}

#[tokio::test]
async fn credentials_become_a_link_to_the_console() {
    let fake = Fake::answering(vec![token("ab+/=c")]).await;
    let endpoint = fake.url.join("federation").unwrap();
    let login = log_in(&endpoint).await.unwrap();
    let url = Url::parse(login.expose()).unwrap();
    assert_eq!(url.path(), "/federation");
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let expected = [
        ("Action", "login"),
        ("Issuer", "https://broker.example/sign-in"),
        ("Destination", "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1#/b"),
        ("SigninToken", "ab+/=c"),
    ];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(url.fragment(), None, "the fragment of the destination is encoded");
    assert_eq!(format!("{login:?}"), "ConsoleLogin");
}

#[tokio::test]
async fn the_credentials_travel_in_the_body_and_without_a_session_duration() {
    let fake = Fake::answering(vec![token("t")]).await;
    log_in(&fake.url).await.unwrap();
    let request = fake.requests().remove(0);
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    let form = form(&request);
    assert_eq!(form.keys().collect::<Vec<_>>(), ["Action", "Session"]);
    assert_eq!(form["Action"], "getSigninToken");
    assert_eq!(form["Session"], r#"{"sessionId":"ASIAEXAMPLE","sessionKey":"se/cr+et=","sessionToken":"to/ke+n=="}"#);
}

#[tokio::test]
async fn a_failing_endpoint_is_tried_three_times() {
    let fake = Fake::answering(vec![Reply::new(503, "marker")]).await;
    let error = log_in(&fake.url).await.unwrap_err();
    assert!(matches!(error, FederationError::Unavailable(503)), "{error}");
    assert_eq!(fake.requests().len(), 3);

    let fake = Fake::answering(vec![Reply::new(500, ""), Reply::new(429, ""), token("t")]).await;
    assert!(log_in(&fake.url).await.is_ok());
}

#[tokio::test]
async fn a_refusal_is_final_and_its_page_is_not_kept() {
    let fake = Fake::answering(vec![Reply::new(400, "<html>Invalid credentials parameter marker")]).await;
    let error = log_in(&fake.url).await.unwrap_err();
    assert!(matches!(error, FederationError::Refused(400)), "{error}");
    assert_eq!(fake.requests().len(), 1);
    assert!(!format!("{error:?} {error}").contains("marker"));
}

#[tokio::test]
async fn an_answer_without_a_token_is_none() {
    let large = token(&"a".repeat(MAX_ANSWER));
    let none = Reply::new(200, "{}");
    let redirect = Reply::new(302, "");
    for reply in [none, token(""), Reply::new(200, "<html>"), Reply::new(200, r#"{"SigninToken":1}"#), large, redirect]
    {
        let fake = Fake::answering(vec![reply.clone()]).await;
        let error = log_in(&fake.url).await.unwrap_err();
        assert!(matches!(error, FederationError::BadAnswer(_) | FederationError::Refused(302)), "{error}");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[tokio::test]
async fn silence_ends_in_time() {
    let fake = Fake::answering(vec![Reply::never()]).await;
    assert!(matches!(log_in(&fake.url).await, Err(FederationError::TimedOut)));
}

#[tokio::test]
async fn expired_credentials_are_not_sent() {
    let region = "eu-west-1".parse().unwrap();
    let home = Consoles::default().home(Partition::Aws, &region);
    let fake = Fake::answering(vec![token("t")]).await;
    let expired = credentials(NOW);
    let result = federation(Some(&fake.url))
        .log_in(&expired, Partition::Aws, &region, &home, NOW.parse().unwrap(), &SeededRng::new(1))
        .await;
    assert!(matches!(result, Err(FederationError::Expired)));
    assert!(fake.requests().is_empty());
}

#[test]
fn each_partition_has_its_own_endpoint() {
    let federation = federation(None);
    for (partition, expected) in [
        (Partition::Aws, "https://us-east-1.signin.aws.amazon.com/federation"),
        (Partition::AwsCn, "https://cn-north-1.signin.amazonaws.cn/federation"),
        (Partition::AwsUsGov, "https://us-gov-west-1.signin.amazonaws-us-gov.com/federation"),
    ] {
        assert_eq!(federation.endpoint(partition, &partition.default_region()).as_str(), expected);
    }
}
