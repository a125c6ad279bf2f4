//! Leaving, here and at the identity provider.

mod forged;
mod openid;
mod peer;
mod sandbox;

use regex::Regex;
use rolegate::web::problem::Kind;

use crate::broker::Broker;
use crate::browser_client::{Browser, Page};

/// Presses "Sign out" on the page with the roles; gives what the browser shows then.
async fn press_sign_out(broker: &Broker, browser: &mut Browser) -> Page {
    let home = browser.get(&broker.at("/")).await;
    browser.submit(&home.form_to("/sign-out")).await
}

/// The page that takes the browser on to the provider says that the session here has ended, which it has.
async fn assert_ended_here(broker: &Broker, browser: &mut Browser, page: &Page) {
    assert_eq!((page.status, page.url.path()), (200, "/sign-out"), "{}", page.body);
    assert!(page.body.contains("Your session here has ended."), "{}", page.body);
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["clear-site-data"], "\"cache\"");
    assert_eq!(browser.cookie("127.0.0.1", "rolegate"), None);
    assert_eq!(broker.last_event("session.ended").await["cause"], "signed-out");
}

/// The last page says how far it reached.
fn assert_reached(page: &Page, reach: &str, sentence: &str) {
    assert_eq!((page.status, page.url.path()), (200, "/signed-out"), "{}", page.body);
    let query = page.url.query().unwrap_or_default();
    assert!(query.ends_with(&format!("reach={reach}")), "{query}");
    assert!(page.body.contains(sentence), "{sentence} is missing:\n{}", page.body);
}

/// The page says what kind of problem it is; the audit log has the true cause under its support id.
async fn refused(broker: &Broker, page: &Page, cause: &str) {
    let kind = Kind::SignOutRefused;
    assert_eq!(page.status, kind.status().as_u16(), "{}", page.body);
    for part in [kind.title(), &kind.sentence().replace('\'', "&#39;")] {
        assert!(page.body.contains(part), "{part} is missing:\n{}", page.body);
    }
    let (found, body) = broker.events().await.pop().unwrap();
    assert_eq!((found.as_str(), body["cause"].as_str()), ("logout.refused", Some(cause)), "{body}");
    let support_id = page.headers["x-request-id"].to_str().unwrap();
    assert_eq!(broker.last_reference().await.as_deref(), Some(support_id));
}

/// Whose sessions were ended since that event, and why; oldest first.
async fn ended_since(broker: &Broker, seq: i64) -> Vec<String> {
    let events = broker.events_after(seq).await;
    let ended = events.into_iter().filter(|(kind, _)| kind == "session.ended");
    ended.map(|(_, body)| body["cause"].as_str().unwrap().to_owned()).collect()
}

/// Metadata without the places for logout by some bindings.
pub fn without_logout(metadata: &str, bindings: &[&str]) -> String {
    let bindings = bindings.join("|");
    let places =
        format!(r#"(?s)<(?:\w+:)?SingleLogoutService [^>]*Binding="[^"]*(?:{bindings})"[^>]*?(?:/>|></[^>]*>)"#);
    let shorter = Regex::new(&places).unwrap().replace_all(metadata, "");
    assert_ne!(shorter, metadata, "something is left out");
    shorter.into_owned()
}
