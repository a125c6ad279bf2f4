use std::io;
use std::path::Path;

use super::*;
use crate::catalog::toml::{Loaded, Source, parse};

const GITHUB: &str = r#"
[[connector]]
id = "github"
kind = "workload"
issuer = "https://token.actions.githubusercontent.com"
require = { owner = "corp" }
[connector.attributes]
owner = "repository_owner"
repository = "repository"
ref = "ref"
"#;

const REST: &str = r#"
[[connector]]
id = "okta"
kind = "saml"
metadata_url = "https://idp.example/metadata"
[connector.attributes]
groups = "groups"
extra = { ref = "ref" }
[[account]]
id = "111122223333"
name = "Payments"
[[role]]
account = "111122223333"
name = "Deploy"
"#;

fn read(text: &str) -> Result<Loaded, Vec<String>> {
    let files = |path: &Path| match path.to_str().unwrap() {
        "cluster.json" => Ok(br#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#.to_vec()),
        "private.json" => Ok(br#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}]}"#.to_vec()),
        "empty.json" => Ok(br#"{"keys":[]}"#.to_vec()),
        "page.html" => Ok(b"<html>".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    parse(&[Source { path: "catalog.toml".into(), text: text.to_owned() }], &files)
        .map_err(|mistakes| mistakes.0.iter().map(|one| format!("{}: {}", one.key, one.message)).collect())
}

/// The one mistake in a text.
fn mistake(text: &str) -> String {
    match read(text) {
        Ok(_) => "accepted".to_owned(),
        Err(mistakes) => mistakes.join("\n"),
    }
}

fn rule(when: &str) -> String {
    format!("{GITHUB}{REST}[[rule]]\nid = \"r\"\nwhen = {when}\ngrant = [{{ account = \"*\", role = \"Deploy\" }}]\n")
}

#[test]
fn a_connector_for_workloads_is_read_with_its_defaults() {
    let loaded = read(GITHUB).unwrap();
    let connector = loaded.catalog.connectors().next().unwrap();
    let workload = connector.workload().unwrap();
    assert!(!connector.is_for_people() && connector.saml().is_none() && connector.oidc().is_none());
    assert_eq!((&workload.audience, &workload.keys), (&None, &KeySource::Discovery));
    assert_eq!(workload.max_token_age, Duration::from_secs(3600));
    assert!(!workload.once && !workload.other_audiences && !workload.private_addresses);
    assert!(workload.delivers(&"ref".parse().unwrap()) && workload.delivers(&Attribute::Subject));
    assert!(!workload.delivers(&Attribute::Groups) && !workload.delivers(&"department".parse().unwrap()));
}

#[test]
fn keys_come_from_discovery_an_address_or_a_file_that_holds_public_keys() {
    let cluster = |keys: &str| {
        format!(
            "[[connector]]\nid = \"k\"\nkind = \"workload\"\nissuer = \"https://kubernetes.default.svc.cluster.local\"\n{keys}\n"
        )
    };
    assert_eq!(mistake(&cluster("jwks_file = \"cluster.json\"")), "accepted");
    assert_eq!(mistake(&cluster("jwks_uri = \"https://10.0.0.1/openid/v1/jwks\"")), "accepted");
    for (keys, expected) in [
        (
            "",
            "connector.issuer: kubernetes.default.svc.cluster.local is a name inside a cluster, which every cluster has and \
             nobody else can call; add jwks_file with what `kubectl get --raw /openid/v1/jwks` prints",
        ),
        (
            "jwks_file = \"private.json\"",
            "connector.jwks_file: it holds a private or secret key, with which anybody can sign; give the public set only",
        ),
        ("jwks_file = \"empty.json\"", "connector.jwks_file: the JWK set is empty, so no token could be accepted"),
        ("jwks_file = \"page.html\"", "connector.jwks_file: it is not JSON: expected value at line 1 column 1"),
        (
            "jwks_file = \"gone.json\"",
            "connector.jwks_file: gone.json cannot be read: entity not found; the path is relative to the catalog file",
        ),
        ("jwks = '{}'", "connector.jwks: it is not a JWK set: it has no list under `keys`"),
        (
            "jwks_uri = \"http://10.0.0.1/jwks\"",
            "connector.jwks_uri: `http://10.0.0.1/jwks` cannot be used to fetch metadata; write an https URL without a user \
             name (http only for a loopback host)",
        ),
        (
            "jwks_uri = \"https://10.0.0.1/jwks\"\njwks_file = \"cluster.json\"",
            "connector: jwks_file and jwks_uri are given together; keep one of them",
        ),
        (
            "jwks_file = \"cluster.json\"\nmax_token_age = \"25h\"",
            "connector.max_token_age: a token may be between 1m and 24h old",
        ),
        (
            "jwks_file = \"cluster.json\"\nsigning_algorithms = [\"HS256\"]",
            "connector.signing_algorithms[0]: HS256 signs with a shared secret, so whoever can check it can forge it; have \
             the provider sign with RS256",
        ),
        (
            "jwks_file = \"cluster.json\"\nrequire = { namespace = \"ci\" }",
            "connector.require.namespace: `namespace` is not mapped here; map it under [connector.attributes], or require \
             subject",
        ),
        (
            "jwks_file = \"cluster.json\"\ndefault = true",
            "connector.default: nobody signs in through a connector for workloads; leave it out",
        ),
        (
            "jwks_file = \"cluster.json\"\nemail_domains = [\"corp.example\"]",
            "connector.email_domains: nobody signs in through a connector for workloads; leave it out",
        ),
        (
            "jwks_file = \"cluster.json\"\nsession_idle = \"1h\"",
            "connector.session_idle: nobody signs in through a connector for workloads; leave it out",
        ),
        (
            "jwks_file = \"cluster.json\"\n[connector.attributes]\nemail = \"email\"",
            "connector.attributes.email: `email` is not a valid attribute name: write another name: this one is taken by \
             what every identity has",
        ),
    ] {
        assert_eq!(mistake(&cluster(keys)), expected, "{keys}");
    }
}

#[test]
fn an_issuer_that_signs_for_strangers_is_pinned_to_an_owner() {
    let github = |require: &str| GITHUB.replace("require = { owner = \"corp\" }", require);
    for pinned in [
        "require = { owner = \"corp\" }",
        "require = { owner = [\"corp\", \"corp-labs\"] }",
        "require = { repository = \"corp/app\" }",
        "require = { repository = { glob = \"corp/*\" } }",
        "require = { subject = { glob = \"repo:corp/*\" } }",
        "require = { ref = \"refs/heads/main\", owner = \"corp\" }",
    ] {
        assert_eq!(mistake(&github(pinned)), "accepted", "{pinned}");
    }
    for open in [
        "",
        "require = { ref = \"refs/heads/main\" }",
        "require = { owner = { glob = \"*\" } }",
        "require = { owner = { glob = \"corp*\" } }",
        "require = { owner = { matches = \".*\" } }",
        "require = { repository = { glob = \"*/app\" } }",
        "require = { repository = { glob = \"corp*/app\" } }",
        "require = { repository = [\"corp/app\", { glob = \"*\" }] }",
        "require = { subject = { glob = \"repo:*\" } }",
    ] {
        let said = mistake(&github(open));
        assert!(
            said.starts_with(
                "connector.require: https://token.actions.githubusercontent.com signs for every repository of github.com; \
                 require what tells yours from theirs"
            ),
            "{open}: {said}"
        );
    }
    let gitlab = |require: &str| {
        format!(
            "[[connector]]\nid = \"g\"\nkind = \"workload\"\nissuer = \"https://gitlab.com\"\n{require}\n\
             [connector.attributes]\nnamespace = \"namespace_path\"\nuser = \"user_login\"\n"
        )
    };
    assert_eq!(mistake(&gitlab("require = { namespace = \"corp\" }")), "accepted");
    assert!(mistake(&gitlab("require = { user = \"asha\" }")).contains("every project of gitlab.com"));
    // One's own is one's own.
    assert_eq!(mistake(&gitlab("").replace("https://gitlab.com", "https://gitlab.corp.example")), "accepted");
}

#[test]
fn a_rule_is_for_workloads_only_if_it_names_their_connector() {
    for good in [
        r#"{ connector = "github", repository = "corp/app", ref = "refs/heads/main" }"#,
        r#"{ connector = ["github", "okta"], ref = "x" }"#,
        r#"{ connector = "okta" }"#,
        r#"{ groups = "engineering" }"#,
        r#"{ connector = { glob = "*" }, groups = "engineering" }"#,
        r#"{ connector = "okta", ref = "x" }"#,
    ] {
        assert_eq!(mistake(&rule(good)), "accepted", "{good}");
    }
    for loose in [
        r#"{ connector = { glob = "*" } }"#,
        r#"{ ref = "refs/heads/main" }"#,
        r#"{ subject = { glob = "*" } }"#,
        r#"{ repository = "corp/app" }"#,
        r#"{ connector = { matches = "git.*" }, repository = "corp/app" }"#,
    ] {
        assert_eq!(
            mistake(&rule(loose)),
            "rule.when: workloads through connector `github` could meet this too; write connector = \"github\" if it is for \
             them, else the connectors that people come through",
            "{loose}"
        );
    }
    let loaded = read(&rule(r#"{ connector = "github" }"#)).unwrap();
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].ends_with(
            "rule.when.connector: every workload that connector `github` accepts gets this, whatever its branch"
        ),
        "{warnings:?}"
    );
}

#[test]
fn issuer_and_audience_tell_which_connector_is_meant_and_no_link_has_one_in_it() {
    let twice = format!("{GITHUB}{}", GITHUB.replace("\"github\"", "\"other\""));
    assert_eq!(
        mistake(&twice),
        "connector.audience: connector `github` has the same issuer and audience; give each an audience of its own"
    );
    let apart = format!(
        "{GITHUB}{}",
        GITHUB.replace("\"github\"", "\"other\"").replace("kind =", "audience = \"https://other.example\"\nkind =")
    );
    assert_eq!(mistake(&apart), "accepted");
    let people = "[[connector]]\nid = \"p\"\nkind = \"oidc\"\nissuer = \"https://git.example\"\nclient_id = \"rolegate\"\n\
                  [[connector]]\nid = \"w\"\nkind = \"workload\"\nissuer = \"https://git.example\"\naudience = \"rolegate\"\n";
    assert_eq!(
        mistake(people),
        "connector.audience: this is a client_id by which people sign in at the same issuer; give workloads an audience of \
         their own"
    );
    let link =
        format!("{GITHUB}{REST}[[link]]\nid = \"l\"\nconnectors = [\"github\", \"okta\"]\nattribute = \"ref\"\n");
    assert_eq!(mistake(&link), "link.connectors: connector `github` is for workloads, and a link joins people");
}
