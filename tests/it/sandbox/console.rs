//! The federation endpoint and the console behind it.

use super::services::{Real, admin};
use super::*;
use crate::browser_client::{Browser, Page};
use crate::peers::AwsKeys;

const HOME: &str = "https://eu-west-1.console.aws.amazon.com/console/home?region=eu-west-1";

/// The three values of `Session`.
#[derive(Clone)]
struct Held {
    id: String,
    key: String,
    token: String,
}

impl Held {
    fn json(&self) -> String {
        serde_json::json!({"sessionId": self.id, "sessionKey": self.key, "sessionToken": self.token}).to_string()
    }
}

impl Running {
    async fn held(&self, assertion: &Assertion, role: &str) -> Held {
        let answer = self.assume_with(assertion, &[("RoleArn", role)]).await;
        Held { id: answer.get("AccessKeyId"), key: answer.get("SecretAccessKey"), token: answer.get("SessionToken") }
    }

    async fn exchange(&self, params: &[(&str, &str)]) -> Answer {
        let mut all = vec![("Action", "getSigninToken")];
        all.extend(params);
        Answer::of(self.client.post(self.at("/federation")).form(&all).send().await.unwrap()).await
    }

    async fn signin_token(&self, held: &Held) -> String {
        let answer = self.exchange(&[("Session", &held.json())]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.headers["cache-control"], "no-store");
        let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        json["SigninToken"].as_str().unwrap().to_owned()
    }

    fn login(&self, token: &str, destination: &str) -> String {
        let mut url = self.at("/federation");
        url.query_pairs_mut()
            .append_pair("Action", "login")
            .append_pair("Issuer", "https://broker.example.test/?a=<b>")
            .append_pair("Destination", destination)
            .append_pair("SigninToken", token);
        url.into()
    }
}

fn is_console(page: &Page) -> bool {
    page.status == 200 && page.body.contains("Your session ends in")
}

#[actix_web::test]
async fn credentials_become_a_console_session_that_says_who_one_is() {
    let aws = Running::start();
    let assertion = Assertion::default()
        .for_role(DEPLOY)
        .with("SourceIdentity", &["asha.raman@larkspur.example"])
        .with("PrincipalTag:Department", &["Platform"]);
    let held = aws.held(&assertion, DEPLOY).await;
    let token = aws.signin_token(&held).await;
    let mut browser = Browser::new();
    let page = browser.get(&aws.login(&token, HOME)).await;
    assert!(is_console(&page), "{} {}", page.url, page.body);
    assert!(page.url.path().starts_with("/console/111122223333-"), "{}", page.url);
    for fact in [
        "arn:aws:sts::111122223333:assumed-role/Deploy/asha.raman@larkspur.example",
        "Payments production",
        DEPLOY,
        "Department = Platform",
        "21 November 2026, 13:00:00 UTC",
        "1 hour",
        "eu-west-1",
        "stand-in",
    ] {
        assert!(page.body.contains(fact), "{fact} is not in {}", page.body);
    }
    assert!(!page.body.contains(&held.key) && !page.body.contains(&held.token));
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(page.headers["cache-control"], "no-store");
}

#[actix_web::test]
async fn a_link_works_again_until_fifteen_minutes_have_passed() {
    let aws = Running::start();
    let token = aws.signin_token(&aws.held(&Assertion::default(), READ_ONLY).await).await;
    assert!(is_console(&Browser::new().get(&aws.login(&token, HOME)).await));
    aws.clock.advance_secs(14 * 60 + 59);
    assert!(is_console(&Browser::new().get(&aws.login(&token, HOME)).await));
    aws.clock.advance_secs(1);
    let page = Browser::new().get(&aws.login(&token, HOME)).await;
    assert_eq!(page.status, 400);
    assert!(page.body.contains("This link has expired"), "{}", page.body);
    assert!(page.body.contains("https://broker.example.test/?a=&#60;b&#62;"), "{}", page.body);
    let script = aws.login("unknown", HOME).replace("https%3A%2F%2Fbroker.example.test%2F", "javascript%3A");
    assert!(!Browser::new().get(&script).await.body.contains("javascript:"));
}

#[actix_web::test]
async fn credentials_that_are_not_whole_or_no_longer_good_are_refused() {
    let aws = Running::start();
    let held = aws.held(&Assertion::default(), READ_ONLY).await;
    let other = aws.held(&Assertion::default(), READ_ONLY).await;
    let session = held.json();
    for bad in [
        vec![],
        vec![("Session", "")],
        vec![("Session", "[]")],
        vec![("Session", r#"{"sessionId":"a","sessionKey":"b"}"#)],
        vec![("Session", r#"{"SessionId":"a","SessionKey":"b","SessionToken":"c"}"#)],
        vec![("Session", session.as_str()), ("SessionDuration", "899")],
        vec![("Session", session.as_str()), ("SessionDuration", "43201")],
        vec![("Session", session.as_str()), ("SessionDuration", "1h")],
    ] {
        let answer = aws.exchange(&bad).await;
        assert_eq!(answer.status, 400, "{bad:?}");
        assert!(answer.body.contains("Invalid credentials parameter"), "{}", answer.body);
    }
    for mixed in [
        Held { key: other.key.clone(), ..held.clone() },
        Held { token: other.token.clone(), ..held.clone() },
        Held { id: other.id.clone(), ..held.clone() },
        Held { token: held.token.replace('+', " "), key: String::new(), ..held.clone() },
    ] {
        assert_eq!(aws.exchange(&[("Session", &mixed.json())]).await.status, 400);
    }
    for good in ["900", "43200"] {
        assert_eq!(aws.exchange(&[("Session", &session), ("SessionDuration", good)]).await.status, 200);
    }
    let mut url = aws.at("/federation");
    url.query_pairs_mut().append_pair("Action", "getSigninToken").append_pair("Session", &session);
    assert_eq!(aws.client.get(url).send().await.unwrap().status(), 200);
    aws.clock.advance_secs(3600);
    assert_eq!(aws.exchange(&[("Session", &session)]).await.status, 400);
    let put = aws.client.put(aws.at("/federation")).send().await.unwrap();
    assert_eq!(put.status(), 405);
    assert_eq!(aws.client.get(aws.at("/federation")).send().await.unwrap().status(), 400);
}

#[actix_web::test]
async fn nobody_is_sent_anywhere_but_the_console_of_the_partition() {
    let aws = Running::start();
    let token = aws.signin_token(&aws.held(&Assertion::default(), READ_ONLY).await).await;
    for destination in [
        "https://console.aws.amazon.com/",
        "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#Instances:",
        "https://111122223333-abcd2345.eu-west-1.console.aws.amazon.com/s3/home",
        aws.at("/console").as_str(),
    ] {
        assert!(is_console(&Browser::new().get(&aws.login(&token, destination)).await), "{destination}");
    }
    for destination in [
        "https://evil.example/",
        "https://console.aws.amazon.com@evil.example/",
        "https://console.amazonaws.cn/",
        "//evil.example",
        "",
    ] {
        let page = Browser::new().get(&aws.login(&token, destination)).await;
        assert_eq!((page.status, page.url.path()), (400, "/federation"), "{destination}");
    }
}

#[actix_web::test]
async fn one_browser_holds_several_sessions_and_ends_them_one_by_one() {
    let aws = Running::start();
    let mut browser = Browser::new();
    let first = aws.signin_token(&aws.held(&Assertion::default(), READ_ONLY).await).await;
    let admin = "arn:aws:iam::111122223333:role/Admin";
    let second = aws.signin_token(&aws.held(&Assertion::default().for_role(admin), admin).await).await;
    let reading = browser.get(&aws.login(&first, HOME)).await;
    let ruling = browser.get(&aws.login(&second, HOME)).await;
    assert!(reading.body.contains("as <strong>ReadOnly") && ruling.body.contains("as <strong>Admin"));
    // Without a session in the address the newest one is meant.
    assert!(browser.get(aws.at("/console/ec2/home").as_str()).await.body.contains("as <strong>Admin"));
    assert!(is_console(&browser.get(reading.url.as_str()).await));
    let form = ruling.form_to("log-out");
    browser.submit(&form).await;
    assert_eq!(browser.get(ruling.url.as_str()).await.status, 403);
    assert!(is_console(&browser.get(reading.url.as_str()).await));
    browser.get(aws.at("/federation?Action=logout").as_str()).await;
    assert_eq!(browser.get(reading.url.as_str()).await.status, 403);
    assert_eq!(Browser::new().get(reading.url.as_str()).await.status, 403);
}

#[actix_web::test]
async fn a_console_session_ends_with_its_credentials_and_says_where_to_begin_again() {
    let aws = Running::start();
    let token = aws.signin_token(&aws.held(&Assertion::default(), READ_ONLY).await).await;
    let mut browser = Browser::new();
    let page = browser.get(&aws.login(&token, HOME)).await;
    aws.clock.advance_secs(3599);
    assert!(browser.get(page.url.as_str()).await.body.contains("1 second"));
    aws.clock.advance_secs(1);
    let ended = browser.get(page.url.as_str()).await;
    assert_eq!(ended.status, 403);
    assert!(ended.body.contains("Your session has expired") && ended.body.contains("https://broker.example.test/"));
}

#[actix_web::test]
async fn logging_out_returns_only_to_places_that_are_known() {
    let aws = Running::start();
    let ask = async |uri: &str| {
        let mut url = aws.at("/oauth");
        url.query_pairs_mut().append_pair("Action", "logout").append_pair("redirect_uri", uri);
        aws.client.get(url).send().await.unwrap()
    };
    assert_eq!(ask("https://aws.amazon.com").await.status(), 302);
    assert_eq!(ask(aws.at("/federation?Action=login").as_str()).await.status(), 302);
    for uri in ["https://evil.example/", "javascript:alert(1)", "https://aws.amazon.com@evil.example/"] {
        assert_eq!(ask(uri).await.status(), 400, "{uri}");
    }
}

impl From<AwsKeys> for Held {
    fn from(keys: AwsKeys) -> Self {
        Self { id: keys.access_key_id, key: keys.secret_access_key, token: keys.session_token }
    }
}

const OPERATOR: &str = "arn:aws:iam::111122223333:role/Operator";
const WRITE_ONLY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "Write", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}]}"#;

impl Real {
    /// Credentials that an operation of STS gives to whoever holds `keys`.
    async fn given(&self, keys: &AwsKeys, args: &[&str]) -> AwsKeys {
        let answer = self.json(keys, &[&["sts"], args].concat()).await;
        let part = |name: &str| answer["Credentials"][name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        AwsKeys {
            access_key_id: part("AccessKeyId"),
            secret_access_key: part("SecretAccessKey"),
            session_token: part("SessionToken"),
        }
    }

    async fn console(&self, browser: &mut Browser, keys: AwsKeys) -> Page {
        let token = self.aws.signin_token(&keys.into()).await;
        browser.get(&self.aws.login(&token, HOME)).await
    }
}

#[actix_web::test]
async fn a_console_opens_for_each_kind_of_session_as_aws_would_have_it() {
    let real = Real::start();
    let operator = ["assume-role", "--role-arn", OPERATOR, "--role-session-name", "jane"];
    let direct = real
        .given(&admin(), &[&operator[..], &["--tags", "Key=team,Value=web", "--transitive-tag-keys", "team"]].concat())
        .await;
    let by_saml = real.session(&Assertion::default(), &[]).await;
    let chained = real.given(&by_saml, &operator).await;
    let visitor = ["get-federation-token", "--name", "visitor"];
    let federated = real.given(&admin(), &[&visitor[..], &["--policy", WRITE_ONLY]].concat()).await;
    let powerless = real.given(&admin(), &visitor).await;
    let user = real.given(&admin(), &["get-session-token"]).await;
    let exchange = async |keys: &AwsKeys, seconds: Option<&str>| {
        let held = Held::from(keys.clone()).json();
        let mut params = vec![("Session", held.as_str())];
        params.extend(seconds.map(|seconds| ("SessionDuration", seconds)));
        real.aws.exchange(&params).await.status
    };
    for (keys, plain, with_duration) in [
        (&direct, 200, 200),
        (&by_saml, 200, 200),
        (&chained, 200, 400),
        (&federated, 200, 400),
        (&powerless, 200, 400),
        (&user, 400, 400),
        (&admin(), 400, 400),
    ] {
        assert_eq!((exchange(keys, None).await, exchange(keys, Some("43200")).await), (plain, with_duration));
    }
    let page = real.console(&mut Browser::new(), direct).await;
    assert!(is_console(&page) && page.body.contains("AssumeRole, with a user&#39;s keys"), "{}", page.body);
    assert!(page.body.contains("team = web</span> <small>passes on</small>"), "{}", page.body);
    let page = real.console(&mut Browser::new(), chained).await;
    assert!(page.body.contains("chained from another role&#39;s session"), "{}", page.body);
    let page = real.console(&mut Browser::new(), federated).await;
    assert!(page.body.contains("arn:aws:sts::111122223333:federated-user/visitor"), "{}", page.body);
    assert!(page.body.contains("s3:PutObject") && page.body.contains("GetFederationToken"), "{}", page.body);
    let page = real.console(&mut Browser::new(), powerless).await;
    assert!(page.body.contains("this federated user may do nothing"), "{}", page.body);
}

#[actix_web::test]
async fn what_a_session_may_do_can_be_tried_in_the_console_and_is_explained() {
    let real = Real::start();
    let mut browser = Browser::new();
    let narrow = real.session(&Assertion::default(), &[("Policy", WRITE_ONLY)]).await;
    let page = real.console(&mut browser, narrow).await;
    let form = page.form_to("/try").set("bucket", "reports").set("key", "payments/october.csv");
    let tried = browser.submit(&form.clone().set("what", "GetObject")).await;
    for words in [
        "Refused: GetObject",
        "because no session policy allows the s3:GetObject action",
        "identity-based policy: allowed by statement 1 of arn:aws:iam::aws:policy/ReadOnlyAccess",
        "session policy: nothing allows it",
    ] {
        assert!(tried.body.contains(words), "{words} is not in {}", tried.body);
    }
    let tried = browser.submit(&form.clone().set("what", "PutObject")).await;
    assert!(
        tried.body.contains("session policy: allowed by statement 1 (Write) of inline session policy"),
        "{}",
        tried.body
    );
    assert!(tried.body.contains("identity-based policy: nothing allows it"), "{}", tried.body);

    let mut browser = Browser::new();
    let page = real.console(&mut browser, real.session(&Assertion::default(), &[]).await).await;
    let form = page.form_to("/try").set("bucket", "reports").set("key", "payments/october.csv");
    let tried = browser.submit(&form.clone().set("what", "GetObject")).await;
    assert!(tried.body.contains("Allowed: GetObject") && tried.body.contains("id,amount"), "{}", tried.body);
    let tried = browser.submit(&form.clone().set("key", "").set("what", "ListObjects")).await;
    assert!(tried.body.contains("freight/\npayments/\nread me &#38; &#60;this&#62;.txt"), "{}", tried.body);
    let tried = browser.submit(&form.set("bucket", "nowhere").set("what", "GetObject")).await;
    assert!(tried.body.contains("NoSuchBucket"), "{}", tried.body);
    assert_eq!(Browser::new().submit(&page.form_to("/try").set("what", "ListBuckets")).await.status, 403);
}

#[actix_web::test]
async fn a_console_of_an_older_session_shows_nothing_more_once_it_is_revoked() {
    let real = Real::start();
    let (mut old, mut new) = (Browser::new(), Browser::new());
    let page = real.console(&mut old, real.session(&Assertion::default(), &[]).await).await;
    assert!(is_console(&page));
    actix_web::rt::time::sleep(std::time::Duration::from_millis(1100)).await;
    let policy = services::REVOKE.replace("<now>", &date_time(SystemClock.now()));
    let put = ["iam", "put-role-policy", "--role-name", "ReadOnly", "--policy-name", "AWSRevokeOlderSessions"];
    real.aws(&admin(), &[&put[..], &["--policy-document", &policy]].concat()).await.unwrap();
    let denied = old.get(page.url.as_str()).await;
    assert_eq!(denied.status, 403);
    assert!(denied.body.contains("denied by statement 1 of AWSRevokeOlderSessions"), "{}", denied.body);
    assert!(!denied.body.contains("/try"), "there is nothing to try");
    let tried = old.submit(&page.form_to("/try").set("what", "ListBuckets")).await;
    assert_eq!(tried.status, 403);
    assert!(is_console(&real.console(&mut new, real.session(&Assertion::default(), &[]).await).await));
}
