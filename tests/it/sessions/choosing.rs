//! The sign-in page: which ways there are, in which order, and who is spared it.

use regex::Regex;

use super::{answer_as, apply, entra, partners};
use crate::browser_client::{Browser, Page};
use crate::sandboxed::{Sandboxed, client, send};

/// What the page offers, in its order.
fn ways(page: &Page) -> Vec<String> {
    let found = Regex::new(r#"<li><a href="/(?:saml|oidc)/([a-z-]+)/start\?"#).unwrap();
    found.captures_iter(&page.body).map(|way| way[1].to_owned()).collect()
}

/// Where the page leads by itself.
fn leads_on(page: &Page) -> String {
    page.leads_on().unwrap_or_else(|| panic!("the page leads nowhere: {}", page.body))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_used_last_comes_first_and_a_disabled_one_is_not_there() {
    let world = Sandboxed::start().await;
    apply(&world, "", &(partners(&world, "") + &entra(""))).await;
    let mut browser = Browser::new();
    let page = browser.get(&world.broker.at("/sign-in")).await;
    assert_eq!(ways(&page), ["entra", "dev-oidc", "dev", "partners"], "by name");
    assert!(!page.body.contains("autofocus") && !page.body.contains("last used"), "{}", page.body);

    let people = browser.follow(&page.link("/saml/partners/start")).await;
    assert_eq!(answer_as(&mut browser, &people, "asha").await.url.path(), "/");
    let page = browser.get(&world.broker.at("/sign-in")).await;
    assert_eq!(ways(&page), ["partners", "entra", "dev-oidc", "dev"]);
    let first = page.body.split("<li>").nth(1).unwrap();
    assert!(first.contains("autofocus") && first.contains("last used"), "{first}");

    apply(&world, "", &(partners(&world, "enabled = false") + &entra(""))).await;
    let page = browser.get(&world.broker.at("/sign-in")).await;
    assert_eq!(ways(&page), ["entra", "dev-oidc", "dev"]);
    assert!(!page.body.contains("Partners") && !page.body.contains("autofocus"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_leads_to_the_connector_of_its_domain_and_says_nothing_about_who_exists() {
    let world = Sandboxed::start().await;
    apply(&world, "", "").await;
    let page = Browser::new().get(&world.broker.at("/sign-in")).await;
    assert!(!page.has_form_with("email"), "no domain leads anywhere");

    let more = partners(&world, "email_domains = [\"gantrytech.example\"]")
        + &entra("email_domains = [\"larkspur.example\", \"shop.example\"]\nlogin_hint = true");
    apply(&world, "", &more).await;
    let mut browser = Browser::new();
    let page = browser.get(&world.broker.at("/sign-in?return_to=%2Fgo%3Faccount%3D111122223333")).await;
    let form = page.form_with("email");
    assert!(!form.post && form.value("return_to") == Some("/go?account=111122223333"));

    // `form-action` would stop a redirect to another site here, so a page leads on.
    let onward = browser.submit(&form.clone().set("email", " Asha.Raman@LARKSPUR.example ")).await;
    assert_eq!(onward.status, 200);
    assert_eq!(
        leads_on(&onward),
        "/oidc/entra/start?return_to=%2Fgo%3Faccount%3D111122223333&login_hint=Asha.Raman%40LARKSPUR.example"
    );
    let onward = browser.submit(&form.clone().set("email", "kim@gantrytech.example")).await;
    assert_eq!(
        leads_on(&onward),
        "/saml/partners/start?return_to=%2Fgo%3Faccount%3D111122223333",
        "no hint unless asked"
    );

    let nobody = browser.submit(&form.clone().set("email", "nobody.at.all@larkspur.example")).await;
    assert!(leads_on(&nobody).starts_with("/oidc/entra/start"), "who exists is for the provider to know");

    for (typed, says) in [
        ("asha@elsewhere.example", "No way to sign in is known for addresses of that domain."),
        ("asha@sub.larkspur.example", "No way to sign in is known for addresses of that domain."),
        ("larkspur.example", "That is not an e-mail address."),
        ("", "That is not an e-mail address."),
        ("\"><script>@larkspur.example", ""),
    ] {
        let again = browser.submit(&form.clone().set("email", typed)).await;
        if says.is_empty() {
            assert!(leads_on(&again).contains("login_hint=%22%3E%3Cscript%3E%40larkspur.example"), "{}", again.body);
            continue;
        }
        assert_eq!(
            (again.status, ways(&again)),
            (200, ["entra", "dev-oidc", "dev", "partners"].map(str::to_owned).to_vec())
        );
        let field = again.form_with("email");
        assert_eq!((field.value("email"), field.value("return_to")), (Some(typed), form.value("return_to")));
        assert!(again.body.contains("aria-describedby=\"email-error\"") && again.body.contains(says), "{}", again.body);
    }

    // A program, or somebody who typed the address, is sent on at once.
    let answer = send(client().get(world.broker.at("/sign-in?email=kim@gantrytech.example"))).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/saml/partners/start?return_to=%2F"));
    apply(&world, "", &partners(&world, "email_domains = [\"gantrytech.example\"]\nenabled = false")).await;
    let page = Browser::new().get(&world.broker.at("/sign-in?email=kim@gantrytech.example")).await;
    assert!(page.status == 200 && !page.has_form_with("email"), "a disabled connector leads nowhere: {}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn trying_addresses_has_a_pace() {
    let wishes = crate::broker::Broker::wishes().set("limits.sign_in_per_minute", "1").set("limits.sign_in_burst", "2");
    let world = Sandboxed::with(wishes).await;
    for status in [200, 200, 429] {
        let answer = send(client().get(world.broker.at("/sign-in?email=a@b.example"))).await;
        assert_eq!(answer.status, status);
    }
    assert_eq!(send(client().get(world.broker.at("/sign-in"))).await.status, 200, "looking is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_connector_skips_the_page_unless_somebody_wants_to_choose() {
    let world = Sandboxed::start().await;
    apply(&world, "default = true", &entra("")).await;
    let mut browser = Browser::new();
    let people = browser.get(&world.broker.at("/go?account=111122223333")).await;
    assert!(people.has_form_with("pending"), "straight to the provider: {}", people.body);
    assert_eq!(answer_as(&mut browser, &people, "asha").await.url.path(), "/go");

    let choice = browser.get(&world.broker.at("/sign-in?choose=1")).await;
    assert_eq!(ways(&choice), ["dev", "entra", "dev-oidc"]);

    // Signing out does not sign in again.
    let home = browser.get(&world.broker.at("/")).await;
    let out = browser.submit(&home.form_to("/sign-out")).await;
    let out = browser.go_on(out).await;
    assert_eq!(out.url.path(), "/signed-out");
    let again = browser.follow(&out.link("/sign-in?choose=1")).await;
    assert_eq!(
        (again.url.path(), ways(&again)),
        ("/sign-in", ["dev", "entra", "dev-oidc"].map(str::to_owned).to_vec())
    );

    // A problem has a way past the default.
    let problem = browser.get(&world.broker.at("/saml/dev/finish")).await;
    let choice = browser.follow(&problem.link("/sign-in?choose=1")).await;
    assert_eq!(ways(&choice).len(), 3);

    // The filter of a picker whose session has ended is a form: its redirects must stay on this site.
    let onward = browser.follow("/?q=prod").await;
    assert_eq!(leads_on(&onward), "/saml/dev/start?return_to=%2F%3Fq%3Dprod");

    apply(&world, "default = true\nenabled = false", &entra("")).await;
    let page = browser.get(&world.broker.at("/sign-in")).await;
    assert_eq!(ways(&page), ["entra", "dev-oidc"], "a disabled default is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_posted_after_the_session_ended_says_so_and_leads_back() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let page = asha.open("/?q=payments").await;
    world.clock.advance_secs(3_600);
    let sts_calls = world.aws.wire.sts_calls();
    let form = page.form_to("/roles/111122223333/ReadOnly/console");
    let answer = asha.browser.submit(&form).await;
    assert_eq!((answer.status, world.aws.wire.sts_calls()), (401, sts_calls));
    assert!(answer.body.contains("Your session has ended, so nothing was done."), "{}", answer.body);
    let choice = asha.browser.follow(&answer.link("/sign-in?return_to=%2F%3Fq%3Dpayments")).await;
    let people = asha.browser.follow(&choice.link("/saml/dev/start")).await;
    let back = answer_as(&mut asha.browser, &people, "asha").await;
    assert_eq!((back.url.path(), back.url.query()), ("/", Some("q=payments")));
}
