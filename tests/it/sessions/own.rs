//! Seeing and ending one's own sessions.

use regex::Regex;
use rolegate::web::problem::Kind;

use super::{apply, own_browser, partners};
use crate::browser_client::{Browser, Page};
use crate::sandboxed::{Sandboxed, client, plain, problem, send};

/// The sessions a page lists: how each was begun, whether it is the one that asks, and its id where it can be ended.
fn listed(page: &Page) -> Vec<(String, bool, Option<String>)> {
    let how = Regex::new(r"<dt>Signed in</dt><dd>([^<]*)</dd>").unwrap();
    let end = Regex::new(r#"action="/sessions/([0-9a-f]{32})/end""#).unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    let list = page.body.split("<ul class=\"sessions\">").nth(1).expect("a list").split("</ul>").next().unwrap();
    let of = |item: &str| {
        let id = end.captures(item).map(|found| found[1].to_owned());
        (plain(&how.captures(item).unwrap()[1]), item.contains("this one"), id)
    };
    list.split("<li>").skip(1).map(of).collect()
}

/// Whom the demo's catalog joins.
const LINKED: &str = "connectors = [\"dev\", \"dev-oidc\"]";

#[tokio::test(flavor = "multi_thread")]
async fn somebody_sees_where_they_are_signed_in_and_ends_what_they_do_not_know() {
    let world = Sandboxed::start().await;
    let (mut here, mut there) = (world.sign_in_as("asha").await, world.sign_in_as("asha").await);
    let mut omar = world.sign_in_as("omar").await;
    let page = here.open("/").await;
    let page = here.browser.follow(&page.link("/sessions")).await;
    let found = listed(&page);
    assert_eq!(found.len(), 2);
    assert!(found[0].1 && found[0].2.is_none(), "this one first, and it is signed out of: {found:?}");
    assert!(!found[1].1 && found[1].0.starts_with("Larkspur"), "{found:?}");
    assert!(page.body.contains("127.0.0.1") && page.body.contains("UTC"), "{}", page.body);
    let id = found[1].2.clone().unwrap();

    let done = here.browser.submit(&page.form_to(&format!("/sessions/{id}/end"))).await;
    assert_eq!((done.url.path(), listed(&done).len()), ("/sessions", 1));
    assert!(done.body.contains("That session has ended."), "{}", done.body);
    let event = world.broker.last_event("session.ended").await;
    assert_eq!((event["cause"].as_str(), event["session"].as_str()), (Some("ended-by-person"), Some(id.as_str())));
    problem(&there.program_get("/api/v1/me").await, 401, "sign-in-required");
    assert_eq!(there.open("/").await.url.path(), "/sign-in");
    assert_eq!(omar.open("/sessions").await.status, 200, "nobody else is signed out");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_persons_session_cannot_be_ended_nor_told_from_one_there_is_not() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let mut omar = world.sign_in_as("omar").await;
    let _second = world.sign_in_as("asha").await;
    let id = listed(&asha.open("/sessions").await)[1].2.clone().unwrap();
    let nobodys = "0123456789abcdef0123456789abcdef";
    let mut said = Vec::new();
    for id in [id.as_str(), nobodys, "x", "%00"] {
        let refusal = world.refused(&mut omar, &format!("/sessions/{id}/end"), &[], (404, "not-found")).await;
        let (kind, body) = &refusal.1[0];
        assert_eq!((kind.as_str(), body["cause"].as_str()), ("access.refused", Some("no-such-session")), "{body}");
        said.push(refusal.0);
    }
    assert!(said.iter().all(|sentence| *sentence == said[0]), "{said:?}");
    assert_eq!(listed(&asha.open("/sessions").await).len(), 2);
    let form = asha.open("/sessions").await.form_to(&format!("/sessions/{id}/end"));
    let forged = asha.browser.submit(&form.set("csrf", "x")).await;
    assert!(forged.status == 403 && forged.body.contains(Kind::CrossSite.title()), "{}", forged.body);
    assert!(forged.body.contains("href=\"/sessions\">Load that page again"), "{}", forged.body);
    assert_eq!(listed(&asha.open("/sessions").await).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_all_others_leaves_the_one_in_use_and_ending_that_signs_out() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let others = [world.sign_in_as("asha").await, world.sign_in_as("asha").await];
    let omar = world.sign_in_as("omar").await;
    let before = world.broker.events().await.len();
    let page = asha.open("/sessions").await;
    let done = asha.browser.submit(&page.form_to("/sessions/end-others")).await;
    assert_eq!((done.url.path(), listed(&done).len()), ("/sessions", 1));
    assert!(done.body.contains("All your other sessions have ended."), "{}", done.body);
    assert!(!done.body.contains("End all others"));
    let events = world.broker.events().await;
    let ended: Vec<_> = events[before..].iter().map(|(kind, body)| (kind.as_str(), body["cause"].as_str())).collect();
    assert_eq!(ended, [("session.ended", Some("ended-by-person")); 2]);
    for other in &others {
        problem(&other.program_get("/api/v1/me").await, 401, "sign-in-required");
    }
    assert_eq!(omar.program_get("/api/v1/me").await.status, 200);

    let mut second = world.sign_in_as("asha").await;
    let own = listed(&asha.open("/sessions").await)[1].2.clone().unwrap();
    second.csrf = second.open("/sessions").await.form_to("/sign-out").value("csrf").unwrap().to_owned();
    let out = second.post(&format!("/sessions/{own}/end"), &[]).await;
    assert_eq!(out.url.path(), "/signed-out", "{}", out.body);
    assert_eq!(second.browser.cookie("127.0.0.1", "rolegate"), None);
    assert_eq!(second.open("/").await.url.path(), "/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_through_linked_connectors_are_one_persons_and_through_others_are_not() {
    let world = Sandboxed::start().await;
    apply(&world, "", &partners(&world, "")).await;
    let mut asha = world.sign_in_as("asha").await;
    let mut also = own_browser(&world, "partners", "asha").await;
    assert_eq!((listed(&asha.open("/sessions").await).len(), listed(&also.open("/sessions").await).len()), (1, 1));

    let linked = world.aws.catalog().replace(LINKED, &LINKED.replace(']', ", \"partners\"]"));
    world.broker.apply(&(linked + &partners(&world, ""))).await;
    let mut asha = world.sign_in_as("asha").await;
    let mut also = own_browser(&world, "partners", "asha").await;
    let found = listed(&also.open("/sessions").await);
    let mut names: Vec<_> = found.iter().map(|(how, ..)| how.split(", by").next().unwrap()).collect();
    names.sort_unstable();
    // With the one from before, which the demo's own link made this person's already.
    names.dedup();
    assert_eq!(names, ["Larkspur Freight (SAML)", "Partners"], "{found:?}");
    let page = also.open("/sessions").await;
    also.browser.submit(&page.form_to("/sessions/end-others")).await;
    assert_eq!(asha.open("/").await.url.path(), "/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_ended_is_not_listed_and_what_a_browser_says_of_itself_is_escaped() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let mut browser = Browser::new();
    browser.get(&world.broker.at("/sign-in")).await;
    let people = browser.follow("/saml/dev/start").await;
    let reply = browser.submit(&people.form_with("pending").set("person", "asha")).await.form_with("SAMLResponse");
    let ticketed = send(client().post(reply.action.clone()).form(&reply.fields)).await;
    let cookie = format!("rolegate-browser={}", browser.cookie("127.0.0.1", "rolegate-browser").unwrap());
    let strange = "Mozilla/5.0 (X11; Linux) <b onclick=\"x\">Firefox/132.0";
    let request = client().get(world.broker.at(ticketed.header("location"))).header("cookie", cookie);
    assert_eq!(send(request.header("user-agent", strange)).await.status, 303);
    let page = asha.open("/sessions").await;
    assert_eq!(listed(&page).len(), 2);
    assert!(page.body.contains(">Firefox on Linux</span>") && !page.body.contains("<b onclick"), "{}", page.body);

    world.clock.advance_secs(3_000);
    assert_eq!(asha.open("/").await.status, 200);
    world.clock.advance_secs(3_000);
    assert_eq!(listed(&asha.open("/sessions").await).len(), 1, "the other was left alone for too long");
}
