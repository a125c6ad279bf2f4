//! Sign-ins that are unusual and right, and what is read from them.

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};

use super::forge::{Sign, Token, Who, half_hash};
use super::judged::{recorded, stage};
use super::play::{CLIENT, Documents, Reply, SUBJECT};
use super::provider::Answer;

struct Case {
    name: &'static str,
    documents: fn(&mut Documents),
    reply: fn(&mut Reply),
    settings: &'static str,
    attributes: &'static str,
    /// What `GET /api/v1/me` says, as far as it matters.
    me: fn() -> Value,
    /// Whether the userinfo endpoint is asked.
    userinfo: bool,
}

fn case(name: &'static str, reply: fn(&mut Reply)) -> Case {
    let me =
        || json!({ "subject": SUBJECT, "name": "Asha Rao", "email": "asha@corp.example", "groups": ["engineering"] });
    Case { name, documents: |_| {}, reply, settings: "", attributes: "", me, userinfo: false }
}

impl Case {
    fn documents(self, documents: fn(&mut Documents)) -> Self {
        Self { documents, ..self }
    }

    fn with(self, settings: &'static str) -> Self {
        Self { settings, ..self }
    }

    fn mapping(self, attributes: &'static str) -> Self {
        Self { attributes, ..self }
    }

    fn me(self, me: fn() -> Value) -> Self {
        Self { me, ..self }
    }

    fn asks_userinfo(self) -> Self {
        Self { userinfo: true, ..self }
    }
}

const ALL_ALGORITHMS: &str = "signing_algorithms = [\"RS256\", \"PS256\", \"ES256\", \"EdDSA\"]";

fn cases() -> Vec<Case> {
    let parts = [tokens(), times(), people(), groups(), asked_for(), published()];
    parts.into_iter().flatten().collect()
}

fn tokens() -> Vec<Case> {
    vec![
        case("the plain one", |_| {}),
        case("a type that says JWT", |r| r.id_token.header["typ"] = json!("JWT")),
        case("an EC signature", |r| r.id_token = r.id_token.clone().signed("ES256", Who::ProviderEc, "ec"))
            .with(ALL_ALGORITHMS),
        case("an Edwards signature", |r| r.id_token = r.id_token.clone().signed("EdDSA", Who::ProviderEd, "ed"))
            .with(ALL_ALGORITHMS),
        case("a PSS signature", |r| r.id_token = r.id_token.clone().signed("PS256", Who::Provider, "rsa"))
            .with(ALL_ALGORITHMS),
        case("no key id, and one key it can be", |r| r.id_token = r.id_token.clone().without_header("kid")),
        case("a key id that a key of another kind has too", |r| {
            r.documents.jwks["keys"][1]["kid"] = json!("rsa");
        }),
        case("a certificate and an address of keys in the header", |r| {
            let elsewhere = r.documents.elsewhere.clone();
            r.id_token = r.id_token.clone().with_header("x5c", json!(["MIIB"])).with_header("jku", json!(elsewhere));
            r.id_token.header["x5u"] = json!(elsewhere);
        }),
        case("the hash of the access token", |r| {
            r.claim("at_hash", json!(half_hash(r.tokens["access_token"].as_str().unwrap())));
        }),
        case("hashes of what we did not get", |r| {
            r.claim("c_hash", json!("AAAA"));
            r.claim("rt_hash", json!("AAAA"));
        }),
        case("an audience in a list", |r| r.claim("aud", json!([CLIENT]))),
        case("several audiences and ourselves as the authorized party", |r| {
            r.claim("aud", json!(["other", CLIENT]));
            r.claim("azp", json!(CLIENT));
        }),
        case("no access token, which nobody needs", |r| r.tokens["access_token"] = json!(null)),
        case("a bearer in small letters", |r| r.tokens["token_type"] = json!("bearer")),
        case("standard claims in odd shapes", |r| {
            r.claim("updated_at", json!("2026-11-21T12:00:00Z"));
            r.claim("phone_number_verified", json!("yes"));
            r.claim("address", json!([]));
        }),
        case("more parameters than are known", |r| {
            r.bring("session_state", "a.b");
            r.bring("authuser", "0");
        }),
    ]
}

fn times() -> Vec<Case> {
    vec![
        case("over within what clocks may differ", |r| {
            r.claim("iat", r.at(-400));
            r.claim("exp", r.at(-160));
        }),
        case("good from within what clocks may differ", |r| r.claim("nbf", r.at(170))),
        case("issued within what clocks may differ", |r| r.claim("iat", r.at(160))),
        case("fractions of seconds", |r| {
            let exp = r.now.as_second() as f64 + 300.5;
            r.claim("exp", json!(exp));
        }),
        case("recognised as lately as was asked for", |r| r.claim("auth_time", r.at(-3_590))).with("max_age = \"1h\""),
        case("recognised anew", |_| {}).with("force_authn = true"),
        case("nobody says when, and nobody asked", |r| r.unclaim("auth_time")),
    ]
}

fn people() -> Vec<Case> {
    vec![
        case("an address nobody verified", |r| r.claim("email_verified", json!(false)))
            .me(|| json!({ "subject": SUBJECT, "email": null })),
        case("an address of which nobody says whether it was verified", |r| {
            r.unclaim("email_verified");
            r.userinfo.as_object_mut().unwrap().remove("email_verified");
        })
        .me(|| json!({ "subject": SUBJECT, "email": null }))
        .asks_userinfo(),
        case("an address whose check is told by userinfo", |r| r.unclaim("email_verified"))
            .me(|| json!({ "subject": SUBJECT, "email": "asha@corp.example" }))
            .asks_userinfo(),
        case("an address that is trusted", |r| r.unclaim("email_verified")).with("trust_email = true"),
        case("another claim as the subject", |r| r.claim("oid", json!("an object")))
            .mapping("subject = \"oid\"")
            .me(|| json!({ "subject": "an object", "email": "asha@corp.example" })),
        case("a name full of markup", |r| r.claim("name", json!("<b>Zoë</b> & \"Zed\"")))
            .me(|| json!({ "name": "<b>Zoë</b> & \"Zed\"" })),
        case("more attributes", |r| {
            r.claim("department", json!("Platform"));
            r.claim("https://corp.example/claims/cost.center", json!(["CC-1", "CC-2"]));
        })
        .mapping("extra = { department = \"department\", cost = \"https://corp.example/claims/cost.center\" }")
        .me(|| json!({ "attributes": { "department": ["Platform"], "cost": ["CC-1", "CC-2"] } })),
    ]
}

fn groups() -> Vec<Case> {
    let of = |name, reply: fn(&mut Reply), me: fn() -> Value| case(name, reply).me(me);
    vec![
        of("one group as a text", |r| r.claim("groups", json!("engineering")), || json!({ "groups": ["engineering"] })),
        of(
            "groups that look like a list in one text",
            |r| r.claim("groups", json!("a,b")),
            || json!({ "groups": ["a,b"] }),
        ),
        of("no groups", |r| r.claim("groups", json!([])), || json!({ "groups": [], "groups_complete": true })),
        of(
            "too many groups to say",
            |r| {
                r.unclaim("groups");
                r.claim("_claim_names", json!({ "groups": "src1" }));
                let endpoint = format!("{}/groups", r.documents.elsewhere);
                r.claim("_claim_sources", json!({ "src1": { "endpoint": endpoint } }));
                r.userinfo.as_object_mut().unwrap().remove("groups");
            },
            || json!({ "groups": [], "groups_complete": false }),
        ),
        of("groups, but not all", |r| r.claim("hasgroups", json!(true)), || json!({ "groups_complete": false })),
        of(
            "exactly as many groups as the provider says at most",
            |r| r.claim("groups", json!(["engineering", "b", "c"])),
            || json!({ "groups": ["engineering", "b", "c"], "groups_complete": false }),
        )
        .with("groups_limit = 3"),
        of(
            "fewer groups than the provider says at most",
            |r| r.claim("groups", json!(["engineering", "b"])),
            || json!({ "groups": ["engineering", "b"], "groups_complete": true }),
        )
        .with("groups_limit = 3"),
    ]
}

fn asked_for() -> Vec<Case> {
    vec![
        case("nothing but the subject in the ID token", Reply::ask_userinfo).asks_userinfo(),
        case("userinfo that is signed", |r| {
            r.ask_userinfo();
            let claims = r.userinfo.clone();
            let mut token = Token::honest(claims).with("iss", json!(r.documents.base)).with("aud", json!(CLIENT));
            token.sign = Sign::With("RS256", Who::Provider);
            r.userinfo_is = Some(Answer::text(200, "application/jwt; charset=utf-8", token.compact()));
        })
        .asks_userinfo(),
        case("userinfo that is always asked", |r| r.userinfo["name"] = json!("Somebody Else"))
            .with("userinfo = \"always\"")
            .asks_userinfo(),
        case("userinfo that counts more", |r| r.userinfo["name"] = json!("Asha R."))
            .with("userinfo = \"always\"\nprefer = \"userinfo\"")
            .me(|| json!({ "name": "Asha R." }))
            .asks_userinfo(),
        case("userinfo that is never asked", Reply::ask_userinfo)
            .with("userinfo = \"never\"")
            .me(|| json!({ "subject": SUBJECT, "name": null, "email": null })),
        case("userinfo that fails and is not needed", |r| {
            r.userinfo_is = Some(Answer::text(500, "text/plain", "sorry"));
        })
        .with("userinfo = \"always\"")
        .asks_userinfo(),
        case("an answer that is posted", |_| {}).with("response_mode = \"form_post\""),
    ]
}

fn published() -> Vec<Case> {
    vec![
        case("addresses that are none of our business", |_| {}).documents(|d| {
            for member in ["op_policy_uri", "op_tos_uri", "service_documentation", "check_session_iframe", "logo_uri"] {
                d.set(member, json!(format!("{}/{member}", d.elsewhere)));
            }
        }),
        case("a provider that does not name itself in its answers", |r| r.leave("iss"))
            .documents(|d| d.remove("authorization_response_iss_parameter_supported")),
        case("a provider that says little", |_| {}).documents(|d| {
            for member in
                ["code_challenge_methods_supported", "token_endpoint_auth_methods_supported", "grant_types_supported"]
            {
                d.remove(member);
            }
        }),
        case("a sign-in page with parameters of its own", |_| {}).documents(|d| {
            d.set("authorization_endpoint", json!(format!("{}/authorize?tenant=corp", d.base)));
        }),
        case("keys of kinds nobody knows beside ours", |_| {}).documents(|d| {
            let keys = d.jwks["keys"].as_array_mut().unwrap();
            for key in [
                json!({ "kty": "future", "kid": "f" }),
                json!({ "kty": "oct", "kid": "o", "k": "AAAA" }),
                json!({ "kty": "EC", "crv": "P-521", "kid": "p", "x": "AAAA", "y": "AAAA" }),
                json!({ "kid": "nothing" }),
                json!("not even an object"),
            ] {
                keys.push(key);
            }
        }),
        case("a key set with ninety keys", |_| {}).documents(|d| {
            let keys = d.jwks["keys"].as_array_mut().unwrap();
            keys.extend((0..87).map(|index| Who::Next.jwk(&format!("next{index}"))));
        }),
        case("a key that is new since the sign-in began", |r| {
            r.documents.jwks["keys"].as_array_mut().unwrap().push(Who::Next.jwk("next"));
            r.id_token = r.id_token.clone().signed("RS256", Who::Next, "next");
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_honest_sign_in_is_believed_and_read_as_it_was_said() {
    let cases = cases();
    let (broker, mut scenes, elsewhere) = stage(cases.iter().map(|case| (case.settings, case.attributes))).await;
    for (case, scene) in cases.iter().zip(&mut scenes) {
        (case.documents)(&mut scene.documents);
        scene.documents.publish(&scene.provider);
    }
    let (broker, at_once) = (&broker, 8);
    let wrong: Vec<String> = stream::iter(cases.iter().zip(&scenes))
        .map(|(case, scene)| async move {
            let mut wrong = Vec::new();
            let asked = match scene.begin().await {
                Ok(asked) => asked,
                Err(answer) => return vec![format!("{}: does not begin: {answer:?}", case.name)],
            };
            let mut reply = scene.honest(asked, broker.now());
            (case.reply)(&mut reply);
            let accepted = scene.bring(&reply).await;
            if accepted.status != 303 {
                return vec![format!("{}: {accepted:?} {:?}", case.name, recorded(broker, &scene.connector).await)];
            }
            let cookie = scene.session(&accepted, &reply.asked.cookie).await;
            let me: Value = serde_json::from_str(&scene.me(&cookie).await.body).unwrap();
            let Value::Object(expected) = (case.me)() else { unreachable!() };
            for (name, value) in expected {
                if me[&name] != value {
                    wrong.push(format!("{}: {name} is {} instead of {value}", case.name, me[&name]));
                }
            }
            let asked = !scene.provider.calls_to("/userinfo").is_empty();
            if asked != case.userinfo {
                wrong.push(format!("{}: userinfo was{} asked", case.name, if asked { "" } else { " not" }));
            }
            let found = recorded(broker, &scene.connector).await;
            if found != [("sign-in.succeeded".to_owned(), String::new())] {
                wrong.push(format!("{}: recorded {found:?}", case.name));
            }
            wrong
        })
        .buffer_unordered(at_once)
        .flat_map(stream::iter)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{} failures:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(elsewhere.accepted(), 0, "somebody was sent elsewhere, and went");
}
