//! Sign-ins that must be refused, each with the code its refusal is recorded under.
//!
//! Each is the honest one but for what its name says.

use std::time::Duration;

use rolegate::web::problem::Kind;
use serde_json::{Value, json};

use super::forge::{Sign, Token, Who, base64url, half_hash, with_first_member, with_last_member};
use super::play::{CLIENT, Documents, Reply, SECRET, SUBJECT};
use super::provider::{Answer, oauth_error};

/// A sign-in that signs nobody in.
pub struct Case {
    pub name: &'static str,
    /// The code of the refusal.
    pub cause: &'static str,
    /// What the person is told.
    pub kind: Kind,
    /// The lie in what the provider publishes, from the beginning.
    pub documents: fn(&mut Documents),
    /// The lie in what comes back once the person was sent away.
    pub reply: fn(&mut Reply),
    /// Further settings of the connector, and attributes.
    pub settings: &'static str,
    pub attributes: &'static str,
    /// Addresses of the provider that must not be called.
    pub never: &'static [&'static str],
}

fn reply(name: &'static str, cause: &'static str, reply: fn(&mut Reply)) -> Case {
    let kind = Kind::SignInRefused;
    Case { name, cause, kind, documents: |_| {}, reply, settings: "", attributes: "", never: &[] }
}

/// Found out before anybody is sent anywhere.
fn documents(name: &'static str, cause: &'static str, documents: fn(&mut Documents)) -> Case {
    Case { documents, ..reply(name, cause, |_| {}) }.provider_failed().at_once()
}

impl Case {
    fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    fn with(self, settings: &'static str) -> Self {
        Self { settings, ..self }
    }

    fn mapping(self, attributes: &'static str) -> Self {
        Self { attributes, ..self }
    }

    fn never(self, never: &'static [&'static str]) -> Self {
        Self { never, ..self }
    }

    /// Found out only when somebody signs in, who brings this back.
    fn later(self, reply: fn(&mut Reply)) -> Self {
        Self { reply, ..self }.never(&[])
    }

    /// Found out only when a token is judged.
    fn judged(self) -> Self {
        self.kind(Kind::SignInRefused).never(&[])
    }

    /// Refused before anybody is called.
    fn at_once(self) -> Self {
        self.never(&["/token", "/userinfo"])
    }

    /// The provider failed at something it should have answered.
    fn provider_failed(self) -> Self {
        self.kind(Kind::IdentityProviderUnavailable)
    }
}

/// A claim in the ID token has another value, or none.
macro_rules! claim {
    ($name:literal, $cause:literal, $claim:literal, $value:expr) => {
        reply($name, $cause, |r| r.claim($claim, ($value)(&*r)))
    };
    ($name:literal, $cause:literal, $claim:literal) => {
        reply($name, $cause, |r| r.unclaim($claim))
    };
}

const ALL_ALGORITHMS: &str = "signing_algorithms = [\"RS256\", \"PS256\", \"ES256\", \"EdDSA\"]";
const ALWAYS_USERINFO: &str = "userinfo = \"always\"";

pub fn cases() -> Vec<Case> {
    let parts = [confused_tokens(), mixed_up(), parameters(), keys(), letters(), claims(), userinfo(), addresses()];
    parts.into_iter().chain([published_keys(), discovery(), token_endpoint()]).flatten().collect()
}

/// Tokens that are good for something else.
fn confused_tokens() -> Vec<Case> {
    vec![
        reply("an access token instead of the ID token", "token-type-wrong", |r| {
            r.id_token = r.id_token.clone().with_header("typ", json!("at+jwt"));
        }),
        reply("an access token for an API instead of the ID token", "audience-wrong", |r| {
            r.claim("aud", json!("https://api.corp.example"));
            r.claim("client_id", json!(CLIENT));
            r.claim("scope", json!("openid email"));
        }),
        reply("the opaque access token instead of the ID token", "token-malformed", |r| {
            r.id_token_is = Some(r.tokens["access_token"].clone());
        }),
        reply("a logout token instead of the ID token", "nonce-missing", |r| {
            r.claim("events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
            r.unclaim("nonce");
        }),
        reply("a logout token that says so instead of the ID token", "token-type-wrong", |r| {
            r.id_token = r.id_token.clone().with_header("typ", json!("logout+jwt"));
        }),
        claim!("the ID token of another client", "audience-wrong", "aud", |_| json!("another-client")),
        reply("the ID token of another provider, signed by it", "issuer-wrong", |r| {
            r.claim("iss", json!("https://idp.example"));
        }),
        reply("the ID token of an earlier sign-in", "nonce-wrong", |r| r.claim("nonce", json!("yesterday's nonce"))),
        reply("no ID token", "id-token-missing", |r| r.id_token_is = Some(Value::Null)),
        reply("an ID token that is an object", "token-response-malformed", |r| {
            r.id_token_is = Some(r.id_token.claims.clone());
        }),
        reply("an empty ID token", "token-malformed", |r| r.id_token_is = Some(json!(""))),
        reply("an encrypted token in five parts", "token-malformed", |r| {
            r.id_token_is = Some(json!(format!("{}.e.e", r.id_token.compact())));
        }),
        reply("a token that is to be used otherwise", "access-token-type-wrong", |r| {
            r.tokens["token_type"] = json!("mac");
        }),
    ]
}

/// Whose answer is it?
fn mixed_up() -> Vec<Case> {
    vec![
        reply("an answer in the name of another issuer", "iss-parameter-wrong", |r| {
            r.bring("iss", "https://evil.example");
        })
        .at_once(),
        reply("no issuer in the answer, though one was promised", "iss-parameter-missing", |r| r.leave("iss"))
            .at_once(),
        reply("an issuer with one slash more", "iss-parameter-wrong", |r| {
            let slash = format!("{}/", r.documents.base);
            r.bring("iss", &slash);
        })
        .at_once(),
        reply("an issuer in capitals", "iss-parameter-wrong", |r| {
            let base = r.documents.base.to_uppercase();
            r.bring("iss", &base);
        })
        .at_once(),
        reply("an empty issuer", "iss-parameter-wrong", |r| r.bring("iss", "")).at_once(),
        reply("an error in the name of another issuer", "iss-parameter-wrong", |r| {
            r.leave("code");
            r.bring("error", "access_denied");
            r.bring("iss", "https://evil.example");
        })
        .at_once(),
        reply("a code that was given to somebody else's browser", "token-refused", |r| {
            r.challenge = Some(base64url(openssl::sha::sha256(b"the verifier of another browser")));
        })
        .kind(Kind::IdentityProviderError),
        reply("a code for another browser at a provider that forgets to check", "nonce-wrong", |r| {
            r.challenge = None;
            r.claim("nonce", json!("the nonce of another browser"));
        }),
    ]
}

/// What the browser brings.
fn parameters() -> Vec<Case> {
    vec![
        reply("no state", "state-unusable", |r| r.leave("state")).at_once(),
        reply("an empty state", "state-unusable", |r| r.bring("state", "")).at_once(),
        reply("a state nobody made", "no-attempt", |r| r.bring("state", &"A".repeat(43)))
            .kind(Kind::SignInUnsolicited)
            .at_once(),
        reply("a state with one letter more", "state-unusable", |r| {
            let state = format!("{}A", r.asked.parameter("state"));
            r.bring("state", &state);
        })
        .at_once(),
        reply("two states", "callback-repeated-parameter", |r| {
            let state = r.asked.parameter("state").to_owned();
            r.bring_again("state", &state);
        })
        .at_once(),
        reply("two codes", "callback-repeated-parameter", |r| r.bring_again("code", "another")).at_once(),
        reply("two issuers", "callback-repeated-parameter", |r| {
            let base = r.documents.base.clone();
            r.bring_again("iss", &base);
        })
        .at_once(),
        reply("two errors", "callback-repeated-parameter", |r| {
            r.leave("code");
            r.bring_again("error", "access_denied");
            r.bring_again("error", "login_required");
        })
        .at_once(),
        reply("no code", "callback-empty", |r| r.leave("code")).at_once(),
        reply("an empty code", "code-unusable", |r| r.bring("code", "")).at_once(),
        reply("a code of twenty thousand letters", "callback-too-large", |r| {
            r.bring("code", &"A".repeat(20_000));
        })
        .at_once(),
        reply("a code and an error", "callback-contradictory", |r| r.bring("error", "server_error")).at_once(),
        reply("an error full of markup", "provider-error", |r| {
            r.leave("code");
            r.bring("error", "access_denied");
            r.bring("error_description", "<script>alert(1)</script>\u{202e}\u{0}\r\nset-cookie: a=b");
        })
        .kind(Kind::IdentityProviderError)
        .at_once(),
        reply("the cookie of another browser", "other-browser", |r| {
            let name = r.cookie.split('=').next().unwrap().to_owned();
            r.cookie = format!("{name}={}", "A".repeat(43));
        })
        .kind(Kind::SignInOtherBrowser)
        .at_once(),
        reply("no cookie", "other-browser", |r| r.cookie.clear()).kind(Kind::SignInOtherBrowser).at_once(),
        reply("an ID token in the front channel instead of a code", "callback-carries-token", |r| {
            r.leave("code");
            let token = r.id_token.compact();
            r.bring("id_token", &token);
            r.bring("access_token", "a");
        })
        .at_once(),
    ]
}

/// Who signed, and with what.
fn keys() -> Vec<Case> {
    let forged = |name, cause, lie: fn(&mut Reply)| reply(name, cause, lie);
    vec![
        forged("a signature by a stranger with the provider's key id", "signature-wrong", |r| {
            r.id_token = r.id_token.clone().signed("RS256", Who::Stranger, "rsa");
        }),
        forged("a key nobody published", "key-unknown", |r| {
            r.id_token = r.id_token.clone().signed("RS256", Who::Next, "next");
        }),
        forged("HMAC with the public key as it is published", "algorithm-not-allowed", |r| {
            r.id_token.header["alg"] = json!("HS256");
            r.id_token.sign = Sign::Hmac(Who::Provider.public_pem());
        }),
        forged("HMAC with the public key in DER", "algorithm-not-allowed", |r| {
            r.id_token.header["alg"] = json!("HS256");
            r.id_token.sign = Sign::Hmac(Who::Provider.key().public_key_to_der().unwrap());
        }),
        forged("HMAC with the modulus", "algorithm-not-allowed", |r| {
            r.id_token.header["alg"] = json!("HS256");
            r.id_token.sign = Sign::Hmac(Who::Provider.key().rsa().unwrap().n().to_vec());
        }),
        forged("HMAC with the client secret", "algorithm-not-allowed", |r| {
            r.id_token.header = json!({ "alg": "HS256" });
            r.id_token.sign = Sign::Hmac(SECRET.as_bytes().to_vec());
        }),
        forged("HMAC that calls itself RS256", "signature-wrong", |r| {
            r.id_token.sign = Sign::Hmac(Who::Provider.public_pem());
        }),
        forged("HMAC with a secret that the provider published", "algorithm-not-allowed", |r| {
            r.documents.jwks["keys"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "kty": "oct", "kid": "oct", "k": "c2VjcmV0" }));
            r.id_token = r.id_token.clone().with_header("alg", json!("HS256")).with_header("kid", json!("oct"));
            r.id_token.sign = Sign::Hmac(b"secret".to_vec());
        }),
        forged("no signature", "token-unsigned", |r| {
            r.id_token.header = json!({ "alg": "none" });
            r.id_token.sign = Sign::Bytes(Vec::new());
        }),
        forged("no signature, spelt otherwise", "token-unsigned", |r| {
            r.id_token.header["alg"] = json!("nOnE");
            r.id_token.sign = Sign::Bytes(Vec::new());
        }),
        forged("no signature, but something in its place", "token-unsigned", |r| {
            r.id_token.header["alg"] = json!("none");
        }),
        forged("an algorithm nobody knows", "algorithm-not-allowed", |r| r.id_token.header["alg"] = json!("RS257")),
        forged("an algorithm in small letters", "algorithm-not-allowed", |r| r.id_token.header["alg"] = json!("rs256")),
        forged("no algorithm", "token-header-malformed", |r| {
            r.id_token = r.id_token.clone().without_header("alg");
        }),
        forged("a list of algorithms", "token-header-malformed", |r| r.id_token.header["alg"] = json!(["RS256"])),
        forged("an honest algorithm that is not agreed on", "algorithm-not-allowed", |r| {
            r.id_token = r.id_token.clone().signed("ES256", Who::ProviderEc, "ec");
        }),
        forged("another padding than was agreed on", "algorithm-not-allowed", |r| {
            r.id_token = r.id_token.clone().signed("PS256", Who::Provider, "rsa");
        }),
        forged("a key of another kind than the algorithm", "key-mismatch", |r| {
            r.id_token.header["kid"] = json!("ec");
        })
        .with(ALL_ALGORITHMS),
        forged("one padding in the name of the other", "signature-wrong", |r| {
            r.id_token.sign = Sign::With("PS256", Who::Provider);
        })
        .with(ALL_ALGORITHMS),
        forged("an elliptic signature by a stranger", "signature-wrong", |r| {
            r.id_token = r.id_token.clone().signed("ES256", Who::StrangerEc, "ec");
        })
        .with(ALL_ALGORITHMS),
        forged("an elliptic signature of zeros", "signature-wrong", |r| {
            r.id_token = r.id_token.clone().signed("ES256", Who::ProviderEc, "ec");
            r.id_token.sign = Sign::Bytes(vec![0; 64]);
        })
        .with(ALL_ALGORITHMS),
        forged("an elliptic signature in DER", "signature-wrong", |r| {
            r.id_token = r.id_token.clone().signed("ES256", Who::ProviderEc, "ec");
            let mut signer =
                openssl::sign::Signer::new(openssl::hash::MessageDigest::sha256(), Who::ProviderEc.key()).unwrap();
            let signature = signer.sign_oneshot_to_vec(r.id_token.signing_input().as_bytes()).unwrap();
            r.id_token.sign = Sign::Bytes(signature);
        })
        .with(ALL_ALGORITHMS),
        forged("an Edwards signature by another kind of key", "key-mismatch", |r| {
            r.id_token = r.id_token.clone().signed("EdDSA", Who::ProviderEd, "ec");
        })
        .with(ALL_ALGORITHMS),
        forged("a signature of no length", "signature-wrong", |r| r.id_token.sign = Sign::Bytes(Vec::new())),
        forged("the signature of another token", "signature-wrong", |r| {
            let other = r.id_token.clone().with("sub", json!("somebody else")).compact();
            let mine = r.id_token.signing_input();
            r.id_token_is = Some(json!(format!("{mine}.{}", other.rsplit('.').next().unwrap())));
        }),
        forged("its own key in the header", "signature-wrong", |r| {
            r.id_token = r.id_token.clone().signed("RS256", Who::Stranger, "rsa");
            r.id_token.header["jwk"] = Who::Stranger.jwk("rsa");
        }),
        forged("its own key in the header, under its own name", "key-unknown", |r| {
            r.id_token = r.id_token.clone().signed("RS256", Who::Stranger, "mine");
            r.id_token.header["jwk"] = Who::Stranger.jwk("mine");
        }),
        forged("an address of its own key in the header", "key-unknown", |r| {
            r.id_token = r.id_token.clone().signed("RS256", Who::Stranger, "mine");
            for name in ["jku", "x5u"] {
                r.id_token.header[name] = json!(format!("{}/{name}", r.documents.elsewhere));
            }
        }),
        forged("its own certificate in the header", "signature-wrong", |r| {
            r.id_token = r.id_token.clone().signed("RS256", Who::Stranger, "rsa").with_header("x5c", json!(["MIIB"]));
        }),
        forged("a header that must be understood", "token-header-critical", |r| {
            r.id_token.header["crit"] = json!(["http://openid.net/x"]);
        }),
        forged("nothing that must be understood", "token-header-critical", |r| {
            r.id_token.header["crit"] = json!([]);
        }),
        forged("a payload that is not encoded", "token-header-critical", |r| {
            r.id_token.header["crit"] = json!(["b64"]);
            r.id_token.header["b64"] = json!(false);
        }),
        forged("a token in a token", "token-content-type", |r| {
            r.id_token.header["cty"] = json!("JWT");
        }),
        forged("a key id that is a number", "token-header-malformed", |r| r.id_token.header["kid"] = json!(1)),
        forged("a key id that is a path", "key-unknown", |r| r.id_token.header["kid"] = json!("../../dev/null")),
        forged("no key id, and two keys it could be", "key-ambiguous", |r| {
            r.documents.jwks["keys"].as_array_mut().unwrap().push(Who::Next.jwk("next"));
            r.id_token = r.id_token.clone().signed("RS256", Who::Next, "").without_header("kid");
        }),
    ]
}

/// How it is written.
fn letters() -> Vec<Case> {
    vec![
        reply("two subjects, the wrong one first", "json-duplicate-member", |r| {
            r.id_token.claims_text = Some(with_first_member(&r.id_token.claims, "\"sub\":\"admin\""));
        }),
        reply("two subjects, the wrong one last", "json-duplicate-member", |r| {
            r.id_token.claims_text = Some(with_last_member(&r.id_token.claims, "\"sub\":\"admin\""));
        }),
        reply("two subjects, one of them escaped", "json-duplicate-member", |r| {
            r.id_token.claims_text = Some(with_last_member(&r.id_token.claims, "\"s\\u0075b\":\"admin\""));
        }),
        reply("two audiences as two members", "json-duplicate-member", |r| {
            r.claim("aud", json!("another-client"));
            r.id_token.claims_text = Some(with_last_member(&r.id_token.claims, &format!("\"aud\":\"{CLIENT}\"")));
        }),
        reply("two algorithms", "json-duplicate-member", |r| {
            r.id_token.header_text = Some(with_first_member(&r.id_token.header, "\"alg\":\"none\""));
        }),
        reply("two keys in one header", "json-duplicate-member", |r| {
            r.id_token.header_text = Some(with_last_member(&r.id_token.header, "\"kid\":\"ec\""));
        }),
        reply("claims behind the claims", "json-malformed", |r| {
            r.id_token.claims_text = Some(format!("{}{{\"sub\":\"admin\"}}", r.id_token.claims));
        }),
        reply("claims with a byte order mark", "json-malformed", |r| {
            r.id_token.claims_text = Some(format!("\u{feff}{}", r.id_token.claims));
        }),
        reply("claims that are a list", "json-not-an-object", |r| {
            r.id_token.claims_text = Some(format!("[{}]", r.id_token.claims));
        }),
        reply("claims that are nothing", "json-malformed", |r| r.id_token.claims_text = Some(String::new())),
        reply("claims nested without end", "json-too-deep", |r| {
            let deep = format!("\"deep\":{}{}", "[".repeat(10_000), "]".repeat(10_000));
            r.id_token.claims_text = Some(with_last_member(&r.id_token.claims, &deep));
        }),
        reply("a number beyond numbers", "json-malformed", |r| {
            r.id_token.claims_text = Some(with_last_member(&r.id_token.claims, "\"n\":1e999"));
        }),
        reply("padding", "token-malformed", |r| {
            let (claims, signature) = (r.id_token.compact(), "=");
            r.id_token_is = Some(json!(format!("{claims}{signature}")));
        }),
        reply("a line break in the token", "signature-wrong", |r| {
            r.id_token_is = Some(json!(r.id_token.compact().replacen('.', ".\n", 1)));
        }),
        reply("a blank behind the token", "token-malformed", |r| {
            r.id_token_is = Some(json!(format!("{} ", r.id_token.compact())));
        }),
        reply("a dot behind the token", "token-malformed", |r| {
            r.id_token_is = Some(json!(format!("{}.", r.id_token.compact())));
        }),
        reply("two parts", "token-malformed", |r| r.id_token_is = Some(json!(r.id_token.signing_input()))),
        reply("a token of a megabyte", "provider-answer-too-large", |r| r.claim("fill", json!("A".repeat(900_000))))
            .provider_failed(),
    ]
}

/// What it claims.
fn claims() -> Vec<Case> {
    vec![
        claim!("no issuer", "claim-missing", "iss"),
        reply("the issuer with a slash", "issuer-wrong", |r| {
            let slash = format!("{}/", r.documents.base);
            r.claim("iss", json!(slash));
        }),
        reply("a list of issuers", "claim-malformed", |r| {
            let base = r.documents.base.clone();
            r.claim("iss", json!([base]));
        }),
        claim!("no audience", "claim-missing", "aud"),
        claim!("an empty audience", "audience-wrong", "aud", |_| json!([])),
        claim!("an audience in capitals", "audience-wrong", "aud", |_| json!(CLIENT.to_uppercase())),
        claim!("an audience that is a number", "claim-malformed", "aud", |_| json!(1)),
        claim!("several audiences without an authorized party", "authorized-party-missing", "aud", |_| json!([
            CLIENT, "other"
        ])),
        reply("another authorized party", "authorized-party-wrong", |r| {
            r.claim("aud", json!([CLIENT, "other"]));
            r.claim("azp", json!("other"));
        }),
        claim!("another authorized party for one audience", "authorized-party-wrong", "azp", |_| json!("other")),
        reply("over three minutes and a second ago", "expired", |r| {
            let (iat, exp) = (r.at(-400), r.at(-181));
            r.claim("iat", iat);
            r.claim("exp", exp);
        })
        .kind(Kind::SignInExpired),
        reply("over before it was issued", "lifetime-senseless", |r| {
            let exp = r.at(-1);
            r.claim("exp", exp);
        }),
        claim!("no end", "claim-missing", "exp"),
        claim!("an end in words", "claim-malformed", "exp", |_| json!("2099-01-01")),
        claim!("an end that is null", "claim-missing", "exp", |_| json!(null)),
        claim!("no beginning", "claim-missing", "iat"),
        reply("issued tomorrow", "issued-in-future", |r| {
            let (iat, exp) = (r.at(86_400), r.at(86_700));
            r.claim("iat", iat);
            r.claim("exp", exp);
        })
        .kind(Kind::SignInExpired),
        reply("issued half a year ago and still good", "issued-long-ago", |r| {
            let (iat, exp) = (r.at(-15_000_000), r.at(300));
            r.claim("iat", iat);
            r.claim("exp", exp);
        })
        .kind(Kind::SignInExpired),
        reply("good for two years", "lifetime-senseless", |r| {
            let exp = r.at(63_072_000);
            r.claim("exp", exp);
        }),
        reply("times in milliseconds", "claim-malformed", |r| {
            let exp = json!(r.now.as_millisecond() + 300_000);
            r.claim("exp", exp);
        }),
        claim!("not good yet", "not-yet-valid", "nbf", |r: &Reply| r.at(185)).kind(Kind::SignInExpired),
        claim!("not good before a word", "claim-malformed", "nbf", |_| json!("now")),
        claim!("no nonce", "nonce-missing", "nonce"),
        claim!("an empty nonce", "nonce-wrong", "nonce", |_| json!("")),
        reply("a list with the nonce in it", "claim-malformed", |r| {
            let nonce = r.asked.parameter("nonce").to_owned();
            r.claim("nonce", json!([nonce]));
        }),
        claim!("no subject", "claim-missing", "sub"),
        claim!("an empty subject", "subject-unusable", "sub", |_| json!("")),
        claim!("a subject that is a number", "claim-malformed", "sub", |_| json!(4711)),
        claim!("a list of subjects", "claim-malformed", "sub", |_| json!([SUBJECT])),
        claim!("a subject of a thousand letters", "subject-unusable", "sub", |_| json!("a".repeat(1_000))),
        claim!("a subject with a line break", "subject-unusable", "sub", |_| json!("a\nb")),
        claim!("another access token's hash", "access-token-hash-wrong", "at_hash", |_| json!(half_hash(
            "another token"
        ))),
        claim!("a hash that is a number", "claim-malformed", "at_hash", |_| json!(1)),
        claim!("a whole hash where half of one belongs", "access-token-hash-wrong", "at_hash", |r: &Reply| {
            let token = r.tokens["access_token"].as_str().unwrap();
            json!(base64url(openssl::sha::sha256(token.as_bytes())))
        }),
        claim!("no time of recognition, though an age was asked for", "auth-time-missing", "auth_time")
            .with("max_age = \"1h\"")
            .kind(Kind::SignInNotReauthenticated),
        claim!("recognised too long ago", "authentication-too-old", "auth_time", |r: &Reply| r.at(-3_781))
            .with("max_age = \"1h\"")
            .kind(Kind::SignInNotReauthenticated),
        claim!("recognised tomorrow", "authn-in-future", "auth_time", |r: &Reply| r.at(86_400))
            .with("max_age = \"1h\"")
            .kind(Kind::SignInExpired),
        claim!("a time of recognition in words", "claim-malformed", "auth_time", |_| json!("just now"))
            .with("max_age = \"1h\""),
        claim!(
            "recognised before the person was to be asked again",
            "not-reauthenticated",
            "auth_time",
            |r: &Reply| { r.at(-600) }
        )
        .with("force_authn = true")
        .kind(Kind::SignInNotReauthenticated),
        claim!("nobody says when they were asked again", "auth-time-missing", "auth_time")
            .with("force_authn = true")
            .kind(Kind::SignInNotReauthenticated),
        claim!("no subject where the catalog says it is", "subject-claim-missing", "sub", |_| json!(SUBJECT))
            .mapping("subject = \"oid\""),
    ]
}

/// What the userinfo endpoint says.
fn userinfo() -> Vec<Case> {
    let asked = |name, cause, lie: fn(&mut Reply)| reply(name, cause, lie).with(ALWAYS_USERINFO);
    vec![
        asked("userinfo about somebody else", "userinfo-subject-wrong", |r| r.userinfo["sub"] = json!("admin")),
        asked("userinfo about nobody", "userinfo-claim-wrong", |r| {
            r.userinfo.as_object_mut().unwrap().remove("sub");
        }),
        asked("userinfo signed by a stranger", "userinfo-token-refused", |r| {
            let token = Token::honest(userinfo_claims(r)).signed("RS256", Who::Stranger, "rsa");
            r.userinfo_is = Some(Answer::text(200, "application/jwt", token.compact()));
        }),
        asked("userinfo that calls itself signed and is not", "userinfo-token-refused", |r| {
            let mut token = Token::honest(userinfo_claims(r)).with_header("alg", json!("none"));
            token.sign = Sign::Bytes(Vec::new());
            r.userinfo_is = Some(Answer::text(200, "application/jwt", token.compact()));
        }),
        asked("signed userinfo about somebody else", "userinfo-subject-wrong", |r| {
            let token = Token::honest(userinfo_claims(r)).with("sub", json!("admin"));
            r.userinfo_is = Some(Answer::text(200, "application/jwt", token.compact()));
        }),
        asked("signed userinfo of another provider", "userinfo-claim-wrong", |r| {
            let token = Token::honest(userinfo_claims(r)).with("iss", json!("https://evil.example"));
            r.userinfo_is = Some(Answer::text(200, "application/jwt", token.compact()));
        }),
        asked("signed userinfo for another client", "userinfo-claim-wrong", |r| {
            let token = Token::honest(userinfo_claims(r)).with("aud", json!("another-client"));
            r.userinfo_is = Some(Answer::text(200, "application/jwt", token.compact()));
        }),
        reply("userinfo that is needed and about two people", "userinfo-failed", |r| {
            r.ask_userinfo();
            let text = with_last_member(&r.userinfo, "\"sub\":\"admin\"");
            r.userinfo_is = Some(Answer::text(200, "application/json", text));
        })
        .kind(Kind::IdentityProviderError),
        reply("userinfo that is needed and fails", "userinfo-failed", |r| {
            r.ask_userinfo();
            r.userinfo_is = Some(Answer::text(500, "text/html", "<h1>Sorry</h1>"));
        })
        .kind(Kind::IdentityProviderError),
        reply("userinfo that is needed and is a page", "userinfo-failed", |r| {
            r.ask_userinfo();
            r.userinfo_is = Some(Answer::text(200, "text/html", "<h1>Please sign in</h1>"));
        })
        .kind(Kind::IdentityProviderError),
        reply("userinfo that is needed and is a list", "userinfo-failed", |r| {
            r.ask_userinfo();
            r.userinfo_is = Some(Answer::Json(json!([r.userinfo])));
        })
        .kind(Kind::IdentityProviderError),
        reply("userinfo that is needed and is elsewhere", "userinfo-failed", |r| {
            r.ask_userinfo();
            r.userinfo_is = Some(Answer::redirect(307, format!("{}/userinfo", r.documents.elsewhere)));
        })
        .kind(Kind::IdentityProviderError),
        reply("userinfo that is needed and is too much", "userinfo-failed", |r| {
            r.ask_userinfo();
            r.userinfo_is = Some(Answer::Json(json!({ "sub": SUBJECT, "fill": "A".repeat(60_000_000) })));
        })
        .kind(Kind::IdentityProviderError),
        reply("userinfo that is needed and never ends", "userinfo-failed", |r| {
            r.ask_userinfo();
            r.userinfo_is = Some(Answer::Endless);
        })
        .kind(Kind::IdentityProviderError),
        reply("userinfo that is needed and comes a byte at a time", "userinfo-failed", |r| {
            r.ask_userinfo();
            r.userinfo_is = Some(Answer::Drip(r.userinfo.clone(), Duration::from_millis(500)));
        })
        .kind(Kind::IdentityProviderError),
    ]
}

/// The claims of a signed userinfo answer.
fn userinfo_claims(r: &Reply) -> Value {
    let mut claims = r.userinfo.clone();
    claims["iss"] = json!(r.documents.base);
    claims["aud"] = json!(CLIENT);
    claims
}

/// Where the broker is sent.
fn addresses() -> Vec<Case> {
    vec![
        documents("the token endpoint at the cloud's metadata service", "provider-address-private", |d| {
            d.set("token_endpoint", json!("https://169.254.169.254/latest/"));
        })
        .later(|_| {}),
        documents(
            "keys at the cloud's metadata service, where private addresses are allowed",
            "provider-address-private",
            |d| d.set("jwks_uri", json!("https://169.254.169.254/latest/")),
        )
        .with("private_addresses = true"),
        documents("keys at a private address", "provider-address-private", |d| {
            d.set("jwks_uri", json!("https://10.0.0.1/jwks"));
        }),
        documents("userinfo at a private address", "userinfo-failed", |d| {
            d.set("userinfo_endpoint", json!("https://192.168.0.1/userinfo"));
        })
        .later(Reply::ask_userinfo)
        .kind(Kind::IdentityProviderError),
        documents("keys at a private address in IPv6", "provider-address-private", |d| {
            d.set("jwks_uri", json!("https://[fd00::1]/jwks"));
        }),
        documents("keys at a private address in IPv6's clothes", "provider-address-private", |d| {
            d.set("jwks_uri", json!("https://[::ffff:10.0.0.1]/jwks"));
        }),
        documents("keys at a private address written as a number", "provider-address-private", |d| {
            d.set("jwks_uri", json!("https://167772161/jwks"));
        }),
        documents("keys at a private address written in octal", "provider-address-private", |d| {
            d.set("jwks_uri", json!("https://0300.0250.0.1/jwks"));
        }),
        documents("keys at no address", "provider-address-private", |d| {
            d.set("jwks_uri", json!("https://0.0.0.0/jwks"));
        }),
        documents("keys at everybody's address", "provider-address-private", |d| {
            d.set("jwks_uri", json!("https://255.255.255.255/jwks"));
        }),
        documents("keys in clear from elsewhere", "discovery-endpoint-refused", |d| {
            d.set("jwks_uri", json!("http://keys.example/jwks"));
        }),
        documents("the token endpoint in clear", "discovery-endpoint-refused", |d| {
            d.set("token_endpoint", json!("http://idp.example/token"));
        }),
        documents("keys in a file", "discovery-endpoint-refused", |d| d.set("jwks_uri", json!("file:///etc/passwd"))),
        documents("keys by another protocol", "discovery-endpoint-refused", |d| {
            d.set("jwks_uri", json!("ftp://127.0.0.1/jwks"));
        }),
        documents("keys in the address itself", "discovery-endpoint-refused", |d| {
            d.set("jwks_uri", json!("data:application/json,{\"keys\":[]}"));
        }),
        documents("a token endpoint with a password", "discovery-endpoint-refused", |d| {
            let address = d.base.replacen("://", "://user:password@", 1) + "/token";
            d.set("token_endpoint", json!(address));
        }),
        documents("keys behind a name of this machine", "provider-address-private", |d| {
            let port = d.elsewhere.rsplit(':').next().unwrap();
            let address = format!("https://{}:{port}/jwks", own_name());
            d.set("jwks_uri", json!(address));
        }),
        documents("a sign-in page that is a script", "discovery-endpoint-refused", |d| {
            d.set("authorization_endpoint", json!("javascript:alert(1)"));
        }),
        documents("a sign-in page in clear", "discovery-endpoint-refused", |d| {
            d.set("authorization_endpoint", json!("http://idp.example/authorize"));
        }),
        documents("keys that are elsewhere", "provider-status", |d| {
            d.jwks_is = Some(Answer::redirect(302, format!("{}/jwks", d.elsewhere)));
        }),
        documents("a discovery document that is elsewhere", "provider-status", |d| {
            d.discovery_is = Some(Answer::redirect(301, format!("{}/discovery", d.elsewhere)));
        }),
        reply("a token endpoint that is elsewhere", "token-status", |r| {
            r.tokens_are = Some(Answer::redirect(307, format!("{}/token", r.documents.elsewhere)));
        })
        .kind(Kind::IdentityProviderError),
        reply("a token endpoint that is elsewhere for ever", "token-status", |r| {
            r.tokens_are = Some(Answer::redirect(308, format!("{}/token", r.documents.elsewhere)));
        })
        .kind(Kind::IdentityProviderError),
    ]
}

/// A name that is not `localhost` and means an address of this machine.
fn own_name() -> String {
    use std::net::ToSocketAddrs as _;
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let private = |name: &str| {
        (name, 443).to_socket_addrs().is_ok_and(|found| {
            let addresses: Vec<_> = found.collect();
            !addresses.is_empty()
                && addresses.iter().all(|address| match address.ip() {
                    std::net::IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
                    std::net::IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
                })
        })
    };
    let names = [own.as_str(), "ip6-localhost", "ip6-loopback", "localhost.localdomain"];
    let found = names.into_iter().find(|name| !name.is_empty() && private(name));
    found.expect("no name but `localhost` means this machine; put its own into /etc/hosts").to_owned()
}

/// The provider's key set.
fn published_keys() -> Vec<Case> {
    vec![
        documents("no keys", "jwks-no-usable-key", |d| d.jwks = json!({ "keys": [] })),
        documents("no list of keys", "jwks-keys-missing", |d| d.jwks = json!({})),
        documents("a thousand keys", "jwks-too-many-keys", |d| {
            d.jwks = json!({ "keys": (0..1_000).map(|index| json!({ "kty": "x", "kid": index.to_string() })).collect::<Vec<_>>() });
        }),
        documents("a secret that everybody can read as the only key", "jwks-no-usable-key", |d| {
            d.jwks = json!({ "keys": [{ "kty": "oct", "kid": "rsa", "k": "c2VjcmV0" }] });
        }),
        documents("keys that are a page", "json-malformed", |d| {
            d.jwks_is = Some(Answer::text(200, "text/html", "<h1>Keys</h1>"));
        }),
        documents("keys twice", "json-duplicate-member", |d| {
            d.jwks_is = Some(Answer::text(200, "application/json", with_first_member(&d.jwks, "\"keys\":[]")));
        }),
        documents("keys for ever", "provider-answer-too-large", |d| d.jwks_is = Some(Answer::Endless)),
        documents("sixty megabytes of keys", "provider-answer-too-large", |d| {
            d.jwks_is = Some(Answer::text(200, "application/json", " ".repeat(60_000_000)));
        }),
        documents("keys a byte at a time", "provider-slow", |d| {
            d.jwks_is = Some(Answer::Drip(d.jwks.clone(), Duration::from_millis(500)));
        }),
        documents("a key for encryption", "key-unknown", |d| d.jwks["keys"][0]["use"] = json!("enc")).judged(),
        documents("a key for other operations", "key-unknown", |d| {
            d.jwks["keys"][0].as_object_mut().unwrap().remove("use");
            d.jwks["keys"][0]["key_ops"] = json!(["encrypt"]);
        })
        .judged(),
        documents("a key whose private half is published", "key-unknown", |d| {
            let rsa = Who::Provider.key().rsa().unwrap();
            d.jwks["keys"][0]["d"] = json!(base64url(rsa.d().to_vec()));
        })
        .judged(),
        documents("a key of 1024 bits", "key-unknown", |d| d.jwks["keys"][0] = Who::Small.jwk("rsa"))
            .judged()
            .later(|r| r.id_token = r.id_token.clone().signed("RS256", Who::Small, "rsa")),
        documents("a key with the exponent one", "key-unknown", |d| d.jwks["keys"][0]["e"] = json!("AQ")).judged(),
        documents("a key for another algorithm", "key-mismatch", |d| d.jwks["keys"][0]["alg"] = json!("PS256"))
            .judged(),
        documents("a key that is only a certificate", "key-unknown", |d| {
            d.jwks["keys"][0] = json!({ "kty": "RSA", "kid": "rsa", "x5c": ["MIIB"] });
        })
        .judged(),
        documents("a key id that two keys have", "key-ambiguous", |d| {
            d.jwks = json!({ "keys": [Who::Next.jwk("rsa"), Who::Provider.jwk("rsa")] });
        })
        .judged(),
        documents("a point that is on no curve", "key-unknown", |d| {
            d.jwks["keys"][1]["y"] = d.jwks["keys"][1]["x"].clone();
        })
        .judged()
        .later(|r| r.id_token = r.id_token.clone().signed("ES256", Who::ProviderEc, "ec"))
        .with(ALL_ALGORITHMS),
    ]
}

/// What the provider says about itself.
fn discovery() -> Vec<Case> {
    let unreachable = |name, answer: fn(&mut Documents)| documents(name, "provider-unreachable", answer);
    let slow = |name, answer: fn(&mut Documents)| documents(name, "provider-slow", answer);
    vec![
        documents("another issuer", "discovery-issuer-wrong", |d| d.set("issuer", json!("https://evil.example"))),
        documents("the configured issuer with a slash", "discovery-issuer-wrong", |d| {
            let slash = format!("{}/", d.base);
            d.set("issuer", json!(slash));
        }),
        documents("an issuer for every tenant", "discovery-many-tenants", |d| {
            d.set("issuer", json!("https://login.microsoftonline.com/{tenantid}/v2.0"));
        }),
        documents("no issuer of its own", "discovery-member-missing", |d| d.remove("issuer")),
        documents("no keys anywhere", "discovery-member-missing", |d| d.remove("jwks_uri")),
        documents("no sign-in page", "discovery-member-missing", |d| d.remove("authorization_endpoint")),
        documents("no token endpoint", "discovery-member-missing", |d| d.remove("token_endpoint")),
        documents("a token endpoint that is a list", "discovery-member-malformed", |d| {
            d.set("token_endpoint", json!(["https://idp.example/token"]));
        }),
        documents("two issuers in one document", "json-duplicate-member", |d| {
            let text = with_first_member(&d.discovery, "\"issuer\":\"https://evil.example\"");
            d.discovery_is = Some(Answer::text(200, "application/json", text));
        }),
        documents("two token endpoints in one document", "json-duplicate-member", |d| {
            let text = with_last_member(&d.discovery, "\"token_endpoint\":\"https://evil.example/token\"");
            d.discovery_is = Some(Answer::text(200, "application/json", text));
        }),
        documents("a page instead of a document", "json-malformed", |d| {
            d.discovery_is = Some(Answer::text(200, "text/html", "<h1>Welcome</h1>"));
        }),
        documents("a document nested without end", "json-too-deep", |d| {
            let text = format!("{}1{}", "{\"a\":".repeat(30_000), "}".repeat(30_000));
            d.discovery_is = Some(Answer::text(200, "application/json", text));
        }),
        documents("a document that is compressed unasked", "json-malformed", |d| {
            d.discovery_is = Some(Answer::compressed(b' ', 50_000_000));
        }),
        documents("no document", "provider-status", |d| d.discovery_is = Some(Answer::text(404, "text/plain", "no"))),
        documents("a provider that is ill", "provider-status", |d| {
            d.discovery_is = Some(Answer::text(500, "text/plain", "no"));
        }),
        documents("sixty megabytes of document", "provider-answer-too-large", |d| {
            d.discovery_is = Some(Answer::text(200, "application/json", " ".repeat(60_000_000)));
        }),
        documents("a document for ever", "provider-answer-too-large", |d| d.discovery_is = Some(Answer::Endless)),
        slow("a document a byte at a time", |d| {
            d.discovery_is = Some(Answer::Drip(d.discovery.clone(), Duration::from_millis(500)));
        }),
        slow("headers a byte at a time", |d| d.discovery_is = Some(Answer::DripHead(Duration::from_millis(500)))),
        slow("silence", |d| d.discovery_is = Some(Answer::Silence)),
        unreachable("half a document", |d| d.discovery_is = Some(Answer::cut(&d.discovery))),
        unreachable("no answer at all", |d| d.discovery_is = Some(Answer::Raw(Vec::new()))),
        unreachable("something that is not HTTP", |d| {
            d.discovery_is = Some(Answer::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()));
        }),
    ]
}

/// What the token endpoint says.
fn token_endpoint() -> Vec<Case> {
    let unreachable = |name, answer: fn(&mut Reply)| reply(name, "provider-unreachable", answer).provider_failed();
    let slow = |name, answer: fn(&mut Reply)| reply(name, "provider-slow", answer).provider_failed();
    let too_large = |name, answer: fn(&mut Reply)| reply(name, "provider-answer-too-large", answer).provider_failed();
    vec![
        reply("a code that is not good any more", "token-refused", |r| {
            r.tokens_are = Some(oauth_error("invalid_grant"));
        })
        .kind(Kind::IdentityProviderError),
        reply("a client nobody knows", "token-refused", |r| {
            r.tokens_are = Some(Answer::text(401, "application/json", "{\"error\":\"invalid_client\"}"));
        })
        .kind(Kind::IdentityProviderError),
        reply("an error that calls itself a success", "token-refused", |r| r.tokens["error"] = json!("invalid_grant"))
            .kind(Kind::IdentityProviderError),
        reply("a token endpoint that is ill", "token-status", |r| {
            r.tokens_are = Some(Answer::text(503, "text/plain", "later"));
        })
        .kind(Kind::IdentityProviderError),
        reply("a page instead of tokens", "json-malformed", |r| {
            r.tokens_are = Some(Answer::text(200, "text/html", "<h1>Please sign in</h1>"));
        }),
        reply("two ID tokens", "json-duplicate-member", |r| {
            let mut tokens = r.tokens.clone();
            tokens["id_token"] = json!(r.id_token.compact());
            let text = with_first_member(&tokens, "\"id_token\":\"a.b.c\"");
            r.tokens_are = Some(Answer::text(200, "application/json", text));
        }),
        reply("tokens nested without end", "json-too-deep", |r| {
            let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            r.tokens_are = Some(Answer::text(200, "application/json", text));
        }),
        reply("tokens that are compressed unasked", "json-malformed", |r| {
            r.tokens_are = Some(Answer::compressed(b' ', 50_000_000));
        }),
        reply("an access token with a line break", "token-response-malformed", |r| {
            r.tokens["access_token"] = json!("a\r\nx-evil: yes");
        }),
        too_large("sixty megabytes of tokens", |r| {
            r.tokens_are = Some(Answer::text(200, "application/json", " ".repeat(60_000_000)));
        }),
        too_large("tokens for ever", |r| r.tokens_are = Some(Answer::Endless)),
        slow("tokens a byte at a time", |r| {
            r.tokens_are = Some(Answer::Drip(r.tokens.clone(), Duration::from_millis(700)));
        }),
        slow("a silent token endpoint", |r| r.tokens_are = Some(Answer::Silence)),
        unreachable("half of the tokens", |r| r.tokens_are = Some(Answer::cut(&r.tokens))),
        unreachable("a token endpoint that hangs up", |r| r.tokens_are = Some(Answer::Raw(Vec::new()))),
    ]
}
