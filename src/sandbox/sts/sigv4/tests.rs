//! The signer here is written from the specification again, apart from the verifier, so that a mistake shared by both
//! is less likely; the real command line and SDK sign in the integration tests.

use super::*;
use crate::aws::Credentials;
use crate::sandbox::credentials::Mint;
use crate::sys::SeededRng;

struct Fixture {
    mint: Mint,
    credentials: Credentials,
    now: Timestamp,
    role_exists: bool,
    key_active: bool,
}

const LONG_TERM: &str = "SBUKAAAAAAAAAAAAAAAA";
const LONG_TERM_SECRET: &str = "a/secret/of/forty/characters/for/a/user+";

impl Keyring for Fixture {
    fn long_term(&self, access_key_id: &str) -> Option<LongTermKey> {
        (access_key_id == LONG_TERM).then(|| LongTermKey {
            owner: crate::sandbox::credentials::tests::user(),
            secret: LONG_TERM_SECRET.into(),
            active: self.key_active,
        })
    }

    fn session(&self, access_key_id: &str, token: &str) -> Option<Session> {
        self.mint.open(access_key_id, token)
    }

    fn temporary_secret(&self, access_key_id: &str) -> SecretString {
        self.mint.secret(access_key_id)
    }

    fn is_alive(&self, _: &Session) -> bool {
        self.role_exists
    }
}

fn fixture() -> Fixture {
    let now: Timestamp = "2026-11-21T12:30:00Z".parse().unwrap();
    let mint = Mint::new(&[3; 32]);
    let credentials = mint.issue(&crate::sandbox::credentials::tests::session(), &SeededRng::new(3));
    Fixture { mint, credentials, now, role_exists: true, key_active: true }
}

/// What a well-behaved client would send, before a test spoils it.
struct Signing {
    key_id: String,
    date: String,
    scope_date: String,
    region: String,
    service: String,
    terminator: String,
    signed_headers: String,
    secret: String,
    token: Option<String>,
    body: String,
}

impl Fixture {
    fn signing(&self) -> Signing {
        Signing {
            key_id: self.credentials.access_key_id.clone(),
            date: "20261121T123000Z".to_owned(),
            scope_date: "20261121".to_owned(),
            region: "eu-west-1".to_owned(),
            service: "sts".to_owned(),
            terminator: "aws4_request".to_owned(),
            signed_headers: "content-type;host;x-amz-date;x-amz-security-token".to_owned(),
            secret: self.credentials.secret_access_key.expose_secret().to_owned(),
            token: Some(self.credentials.session_token.expose_secret().to_owned()),
            body: "Action=GetCallerIdentity&Version=2011-06-15".to_owned(),
        }
    }

    /// As [`signing`](Self::signing), with a user's own key.
    fn long_term(&self) -> Signing {
        Signing {
            key_id: LONG_TERM.to_owned(),
            secret: LONG_TERM_SECRET.to_owned(),
            token: None,
            signed_headers: "content-type;host;x-amz-date".to_owned(),
            ..self.signing()
        }
    }

    fn verify(&self, signing: &Signing) -> Result<Authenticated, StsError> {
        let headers = signing.headers(&signing.key_id);
        let request = HttpRequest { method: "POST", path: "/", query: "", headers, body: signing.body.as_bytes() };
        verify(&request, "sts", self, self.now)
    }

    #[track_caller]
    fn refused(&self, spoil: impl Fn(&mut Signing)) -> (u16, &'static str, String) {
        let mut signing = self.signing();
        spoil(&mut signing);
        let error = self.verify(&signing).unwrap_err();
        (error.status, error.code, error.message.unwrap_or_default())
    }
}

impl Signing {
    fn scope(&self) -> String {
        [&self.scope_date, &self.region, &self.service, &self.terminator].map(String::as_str).join("/")
    }

    fn sign(&self, canonical: &str) -> String {
        let text = format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", self.date, self.scope(), hex(&sha256(canonical.as_bytes())));
        let mut key = hmac(format!("AWS4{}", self.secret).as_bytes(), self.scope_date.as_bytes());
        key = hmac(&key, self.region.as_bytes());
        key = hmac(&key, self.service.as_bytes());
        key = hmac(&key, self.terminator.as_bytes());
        hex(&hmac(&key, text.as_bytes()))
    }

    fn headers(&self, key_id: &str) -> Vec<(String, String)> {
        let mut headers = vec![
            ("content-type".to_owned(), "application/x-www-form-urlencoded; charset=utf-8".to_owned()),
            ("host".to_owned(), "127.0.0.1:8081".to_owned()),
            ("x-amz-date".to_owned(), self.date.clone()),
        ];
        headers.extend(self.token.clone().map(|token| ("x-amz-security-token".to_owned(), token)));
        let lines: String = headers
            .iter()
            .filter(|(name, _)| self.signed_headers.split(';').any(|signed| signed == name))
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let body = hex(&sha256(b"Action=GetCallerIdentity&Version=2011-06-15"));
        let signature = self.sign(&format!("POST\n/\n\n{lines}\n{}\n{body}", self.signed_headers));
        headers.push((
            "authorization".to_owned(),
            format!(
                "AWS4-HMAC-SHA256 Credential={key_id}/{}, SignedHeaders={}, Signature={signature}",
                self.scope(),
                self.signed_headers
            ),
        ));
        headers
    }
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method. Consult the service documentation for details.";

#[test]
fn a_well_signed_request_names_its_session() {
    let fixture = fixture();
    let authenticated = fixture.verify(&fixture.signing()).unwrap();
    assert_eq!(authenticated.caller.arn(), "arn:aws:sts::111122223333:assumed-role/Deploy/asha@larkspur.example");
    assert_eq!(authenticated.region.as_str(), "eu-west-1");
    assert_eq!(authenticated.access_key_id, fixture.credentials.access_key_id);
}

#[test]
fn a_well_signed_request_with_a_long_term_key_names_its_user() {
    let fixture = fixture();
    let caller = fixture.verify(&fixture.long_term()).unwrap().caller;
    assert_eq!(caller, Caller::LongTerm(crate::sandbox::credentials::tests::user()));
}

#[test]
fn an_inactive_or_unknown_key_is_invalid_before_its_signature_is_looked_at() {
    let mut fixture = fixture();
    let invalid = (403, "InvalidClientTokenId", "The security token included in the request is invalid.".to_owned());
    let refused = |fixture: &Fixture, signing: Signing| {
        let error = fixture.verify(&signing).unwrap_err();
        (error.status, error.code, error.message.unwrap())
    };
    let unknown = Signing { key_id: "SBUKBBBBBBBBBBBBBBBB".to_owned(), secret: String::new(), ..fixture.long_term() };
    assert_eq!(refused(&fixture, unknown), invalid);
    fixture.key_active = false;
    assert_eq!(refused(&fixture, Signing { secret: String::new(), ..fixture.long_term() }), invalid);
}

#[test]
fn a_token_on_a_long_term_key_is_invalid_but_only_after_the_signature() {
    let fixture = fixture();
    let with_token = || Signing { token: fixture.signing().token, ..fixture.long_term() };
    assert_eq!(fixture.verify(&with_token()).unwrap_err().code, "InvalidClientTokenId");
    let wrong = Signing { secret: "wrong".to_owned(), ..with_token() };
    assert_eq!(fixture.verify(&wrong).unwrap_err().code, "SignatureDoesNotMatch");
}

#[test]
fn hosts_of_aws_want_the_region_they_stand_for() {
    for (host, region) in [
        ("sts.amazonaws.com", Some("us-east-1")),
        ("sts.amazonaws.com:443", Some("us-east-1")),
        ("sts.eu-west-1.amazonaws.com", Some("eu-west-1")),
        ("sts-fips.us-east-2.amazonaws.com", Some("us-east-2")),
        ("sts.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
        ("sts.eu-central-1.api.aws", Some("eu-central-1")),
        ("127.0.0.1:8081", None),
        ("sts.localhost", None),
    ] {
        assert_eq!(region_of_host(host), region, "{host}");
    }
}

#[test]
fn a_changed_body_or_another_secret_does_not_match() {
    let fixture = fixture();
    let mismatch = (403, "SignatureDoesNotMatch", MISMATCH.to_owned());
    assert_eq!(fixture.refused(|s| s.body.push('&')), mismatch);
    assert_eq!(fixture.refused(|s| s.secret.make_ascii_uppercase()), mismatch);
}

#[test]
fn a_missing_foreign_or_changed_token_is_invalid() {
    let fixture = fixture();
    let invalid = (403, "InvalidClientTokenId", "The security token included in the request is invalid.".to_owned());
    assert_eq!(fixture.refused(|s| s.token = None), invalid);
    assert_eq!(fixture.refused(|s| s.token = Some("IQoJb3JpZ2lu".to_owned())), invalid);
    assert_eq!(fixture.refused(|s| s.region = "cn-north-1".to_owned()), invalid);
    let gone = Fixture { role_exists: false, ..fixture };
    assert_eq!(gone.refused(|_| {}), invalid);
}

#[test]
fn an_expired_session_is_told_so_before_its_signature_is_looked_at() {
    let fixture = Fixture { now: "2026-11-21T13:00:00Z".parse().unwrap(), ..fixture() };
    let expired = (403, "ExpiredToken", "The security token included in the request is expired".to_owned());
    assert_eq!(fixture.refused(|s| s.date = "20261121T130000Z".to_owned()), expired);
    assert_eq!(fixture.refused(|s| s.secret.clear()), expired);
}

#[test]
fn the_scope_is_checked_first_and_all_at_once() {
    let fixture = fixture();
    let (status, code, message) = fixture.refused(|s| {
        s.region = "Europe".to_owned();
        s.service = "s3".to_owned();
        s.token = None;
    });
    assert_eq!((status, code), (403, "SignatureDoesNotMatch"));
    assert_eq!(
        message,
        "Credential should be scoped to a valid region. Credential should be scoped to correct service: 'sts'. "
    );
    assert!(fixture.refused(|s| s.terminator = "aws5".to_owned()).2.contains("valid terminator: 'aws4_request'"));
    assert!(fixture.refused(|s| s.scope_date = "20261120".to_owned()).2.contains("'20261120' != '20261121'"));
}

#[test]
fn fifteen_minutes_of_clock_difference_are_tolerated_and_no_more() {
    let fixture = fixture();
    for good in ["20261121T121500Z", "20261121T124500Z"] {
        assert!(fixture.verify(&Signing { date: good.to_owned(), ..fixture.signing() }).is_ok(), "{good}");
    }
    assert_eq!(
        fixture.refused(|s| s.date = "20261121T121459Z".to_owned()).2,
        "Signature expired: 20261121T121459Z is now earlier than 20261121T121500Z (20261121T123000Z - 15 min.)"
    );
    assert_eq!(
        fixture.refused(|s| s.date = "20261121T124501Z".to_owned()).2,
        "Signature not yet current: 20261121T124501Z is still later than 20261121T124500Z (20261121T123000Z + 15 min.)"
    );
    let (status, code, message) = fixture.refused(|s| s.date = "2026-11-21T12:30Z".to_owned());
    assert_eq!((status, code), (400, "IncompleteSignature"));
    assert!(message.contains("ISO-8601 'basic format'"), "{message}");
}

#[test]
fn the_host_must_be_signed() {
    let (status, code, message) = fixture().refused(|s| s.signed_headers = "x-amz-date".to_owned());
    assert_eq!((status, code), (403, "SignatureDoesNotMatch"));
    assert!(message.starts_with("'Host'"), "{message}");
}

#[test]
fn missing_parts_are_named() {
    let fixture = fixture();
    let ask = |headers: Vec<(&str, &str)>, query: &str| {
        let headers = headers.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let request = HttpRequest { method: "POST", path: "/", query, headers, body: b"" };
        let error = verify(&request, "sts", &fixture, fixture.now).unwrap_err();
        (error.status, error.code, error.message.unwrap())
    };
    assert_eq!(
        ask(vec![], ""),
        (403, "MissingAuthenticationToken", "Request is missing Authentication Token".to_owned())
    );
    let (status, code, message) = ask(vec![("authorization", "AWS4-HMAC-SHA256 Credential=a")], "");
    assert_eq!((status, code), (400, "IncompleteSignature"));
    for part in ["'Signature'", "'SignedHeaders'", "'X-Amz-Date'"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("'Credential'"), "{message}");
    assert!(ask(vec![("authorization", "Bearer x")], "").2.contains("Unsupported AWS 'algorithm': 'Bearer'"));
    assert!(ask(vec![], "X-Amz-Algorithm=AWS4-HMAC-SHA256").2.contains("'X-Amz-Credential'"));
    let short = "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c";
    assert!(
        ask(vec![("authorization", short), ("x-amz-date", "20261121T123000Z")], "").2.contains("5 slash-delimited")
    );
}

#[test]
fn a_presigned_url_is_accepted_and_its_parameters_are_part_of_what_is_signed() {
    let fixture = fixture();
    let signing = fixture.signing();
    let encode = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let credential = format!("{}/{}", fixture.credentials.access_key_id, signing.scope());
    let query = format!(
        "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}\
         &X-Amz-Date={}&X-Amz-Expires=60&X-Amz-Security-Token={}&X-Amz-SignedHeaders=host",
        encode(&credential),
        signing.date,
        encode(signing.token.as_deref().unwrap())
    );
    let signature = signing.sign(&format!("GET\n/\n{query}\nhost:127.0.0.1:8081\n\nhost\n{}", hex(&sha256(b""))));
    let ask = |query: String| {
        let headers = vec![("host".to_owned(), "127.0.0.1:8081".to_owned())];
        let request = HttpRequest { method: "GET", path: "/", query: &query, headers, body: b"" };
        verify(&request, "sts", &fixture, fixture.now)
    };
    let url = format!("{query}&X-Amz-Signature={signature}");
    assert!(ask(url.clone()).is_ok());
    assert_eq!(ask(url.replace("Expires=60", "Expires=61")).unwrap_err().code, "SignatureDoesNotMatch");
    assert_eq!(ask(url.replace("Expires=60", "Expires=604801")).unwrap_err().code, "IncompleteSignature");
}
