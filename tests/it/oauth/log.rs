//! What the log of the process has of all this: nothing that opens anything.

use super::*;
use crate::browser_client::Browser;
use crate::program::{Place, seed};
use crate::sandboxed::{LocalAws, enter};

#[tokio::test(flavor = "multi_thread")]
async fn no_code_no_token_and_no_verifier_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut aws = LocalAws::bind();
    let mut place = Place::new(folder.path()).set("log.level", "debug");
    for (key, value) in aws.settings() {
        place = place.set(key, value);
    }
    aws.serve(&place.base.parse().unwrap(), std::sync::Arc::new(rolegate::sys::SystemClock)).await;
    seed(folder.path(), &aws.catalog()).await;
    let program = place.start().await;
    let at = |path: &str| format!("{}{path}", place.base);
    let mut browser = Browser::new();
    let state = "a-state-of-its-own-that-is-nobody-elses";
    let query = asks().set("state", state).query();
    let page = enter(&mut browser, &at(&format!("/authorize?{query}")), "asha").await;
    let form = page.form_to("/authorize").set("decision", "allow");
    let mut person = Person::new(&at(""), browser, &page);
    let fields: Vec<(&str, &str)> = form
        .fields
        .iter()
        .filter(|(name, _)| name != "csrf")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let code = value(&answered(&person.program_post("/authorize", &fields).await, REDIRECT), "code").to_owned();
    let asked = async |path: &str, fields: &Fields| send(client().post(at(path)).form(&fields.0)).await;
    let wrong = presents(&code).set("code_verifier", &format!("{VERIFIER}-wrong"));
    refused(&asked("/oauth/token", &wrong).await, 400, "invalid_grant");

    let begun =
        asked("/oauth/device_authorization", &Fields(vec![("client_id", "rolegate-cli".to_owned())])).await.json();
    let (device_code, user_code) = (begun["device_code"].as_str().unwrap(), begun["user_code"].as_str().unwrap());
    person.open(&format!("/device?user_code={user_code}")).await;
    person.program_post("/device", &[("user_code", user_code), ("compared", "yes"), ("decision", "approve")]).await;
    let (access, refresh) = granted(&asked("/oauth/token", &polls(device_code)).await);
    let (newer, next) = granted(&asked("/oauth/token", &refreshes(&refresh)).await);
    asked("/oauth/revoke", &Fields(vec![("token", next.clone())])).await;
    refused(&asked("/oauth/token", &refreshes(&next)).await, 400, "invalid_grant");

    let log = program.log();
    for line in ["/authorize", "/oauth/token", "/device", "/oauth/revoke", "no tokens were granted"] {
        assert!(log.contains(line), "no `{line}` in:\n{log}");
    }
    for secret in
        [&code, VERIFIER, state, device_code, user_code, &user_code.replace('-', ""), &access, &refresh, &newer, &next]
    {
        assert!(!log.contains(secret), "`{secret}` is in:\n{log}");
    }
}
