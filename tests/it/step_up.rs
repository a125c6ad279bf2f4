//! Roles that ask for a recent or strong sign-in: the click waits, the person signs in again, the click goes on.

use rolegate::web::problem::Kind;
use serde_json::{Value, json};

use crate::browser_client::{Browser, Page};
use crate::sandboxed::{Person, Sandboxed, plain, problem, support_id};

const READ: &str = "/roles/111122223333/ReadOnly";
const MFA: &str = "https://refeds.org/profile/mfa";

/// The demo's company, where reading payments asks for this.
async fn asking(demand: &str) -> Sandboxed {
    let world = Sandboxed::start().await;
    let role = "[[role]]\naccount = \"111122223333\"\nname = \"ReadOnly\"\n";
    world.change_catalog(role, &format!("{role}authentication = {demand}\n")).await;
    world
}

/// The page that asks, and the address it leads on to.
fn asked(page: &Page) -> String {
    assert_eq!(page.status, 403, "{}", page.body);
    assert_eq!(page.headers["cache-control"], "no-store");
    assert!(page.body.contains("Nothing was issued yet."), "{}", page.body);
    page.link("/step-up/")
}

/// Through the identity provider as this person with this strength, to where that leads.
async fn recognised(person: &mut Person, step_up: &str, who: &str, strength: &str) -> Page {
    let people = person.browser.follow(step_up).await;
    assert!(people.url.as_str().contains("/idp/"), "{}: {}", people.url, people.body);
    let form = people.form_with("pending").set("person", who).set("strength", strength);
    let answer = person.browser.submit(&form).await;
    person.browser.submit(&answer.form_with("SAMLResponse")).await
}

async fn last_denial(world: &Sandboxed) -> Value {
    world.broker.last_event("issue.denied").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_on_the_console_waits_for_a_recent_sign_in_and_goes_on_after_it() {
    let world = asking("{ max_age = \"15m\" }").await;
    let mut asha = world.sign_in_as("asha").await;
    let console = format!("{READ}/console");
    let at_once = asha.post(&console, &[]).await;
    assert!(at_once.url.path().starts_with("/console"), "recent enough: {}", at_once.url);

    world.clock.advance_secs(20 * 60);
    let calls = world.aws.wire.sts_calls();
    let destination = "https://console.aws.amazon.com/s3/home?region=eu-west-1";
    let page = asha.post(&console, &[("duration", "1800"), ("destination", destination)]).await;
    let step_up = asked(&page);
    for words in ["a sign-in within the last 15 min.", "You signed in 20 minutes ago.", "ReadOnly"] {
        assert!(page.body.contains(words), "no `{words}` in {}", page.body);
    }
    let denial = last_denial(&world).await;
    assert_eq!(
        (denial["cause"].as_str(), denial["role_name"].as_str()),
        (Some("authentication-too-old"), Some("ReadOnly"))
    );
    let before = asha.session().to_owned();

    let again = recognised(&mut asha, &step_up, "asha", "password").await;
    assert_eq!((again.status, again.url.path().starts_with("/continue/")), (200, true), "{}", again.body);
    assert_eq!(world.aws.wire.sts_calls(), calls, "nothing is issued before the click is made again");
    assert_ne!(asha.session(), before);
    let form = again.form_to(&console);
    assert_eq!((form.value("duration"), form.value("destination")), (Some("1800"), Some(destination)));
    assert!(again.body.contains("continue.") && again.body.contains("id=\"go-on\""), "{}", again.body);
    let there = asha.browser.submit(&form).await;
    assert!(there.url.path().starts_with("/console") && there.status == 200, "{}: {}", there.url, there.body);
    assert_eq!(world.aws.wire.sts_calls(), calls + 1);
    let issued = world.broker.last_event("issue.succeeded").await;
    assert_eq!((issued["duration_s"].as_u64(), issued["delivery"].as_str()), (Some(1_800), Some("console")));

    // The click was handed out once.
    let twice = asha.open(again.url.path()).await;
    assert_eq!(twice.status, 403);
    assert!(twice.body.contains(Kind::StepUpExpired.title()), "{}", twice.body);
    support_id(&twice);
    let twice = asha.open(&step_up).await;
    assert!(twice.status == 403 && twice.body.contains(Kind::StepUpExpired.title()), "{}", twice.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_as_the_page_or_the_file_that_was_asked_for() {
    let world = asking("{ max_age = \"15m\" }").await;
    let mut asha = world.sign_in_as("asha").await;
    let credentials = format!("{READ}/credentials");
    for (fields, marker) in [
        (&[("duration", "900")][..], "Credentials for"),
        (&[("duration", "900"), ("format", "env")][..], "export AWS_ACCESS_KEY_ID="),
    ] {
        world.clock.advance_secs(20 * 60);
        let page = asha.open("/").await;
        asha.csrf = page.form_to("/sign-out").value("csrf").unwrap().to_owned();
        let step_up = asked(&asha.post(&credentials, fields).await);
        let again = recognised(&mut asha, &step_up, "asha", "password").await;
        let issued = asha.browser.submit(&again.form_to(&credentials)).await;
        assert!(issued.status == 200 && issued.body.contains(marker), "{}", issued.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_asks_for_two_factors_gets_them_from_the_provider() {
    let world = asking(&format!("{{ contexts = [\"{MFA}\"] }}")).await;
    let mut asha = world.sign_in_as("asha").await;
    let page = asha.post(&format!("{READ}/console"), &[]).await;
    let step_up = asked(&page);
    for words in ["a sign-in by several factors", "You signed in by password."] {
        assert!(page.body.contains(words), "no `{words}` in {}", page.body);
    }
    assert_eq!(last_denial(&world).await["cause"], "authentication-context-weak");
    let again = recognised(&mut asha, &step_up, "asha", "security-key").await;
    let there = asha.browser.submit(&again.form_to(&format!("{READ}/console"))).await;
    assert!(there.url.path().starts_with("/console"), "{}: {}", there.url, there.body);
    assert_eq!(world.broker.last_event("issue.succeeded").await["delivery"], "console");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_person_who_comes_back_gets_nothing_and_it_is_recorded() {
    let world = asking("{ max_age = \"15m\" }").await;
    let mut asha = world.sign_in_as("asha").await;
    world.clock.advance_secs(20 * 60);
    let calls = world.aws.wire.sts_calls();
    let step_up = asked(&asha.post(&format!("{READ}/console"), &[]).await);
    let page = recognised(&mut asha, &step_up, "lin", "password").await;
    assert_eq!(page.status, 403, "{}", page.body);
    assert!(plain(&page.body).contains(Kind::StepUpRefused.title()), "{}", page.body);
    let event = world.broker.last_event("access.refused").await;
    assert_eq!(event["cause"], "click-of-other-person");
    assert_eq!(event["clicked_by"], "link:people:asha.raman@larkspur.example");
    assert_eq!(event["role_name"], "ReadOnly");
    assert_eq!(world.broker.last_reference().await, Some(support_id(&page)));
    let again = asha.open(page.url.path()).await;
    assert!(again.body.contains(Kind::StepUpExpired.title()), "it is gone for everybody: {}", again.body);
    assert_eq!(world.aws.wire.sts_calls(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_counts_in_its_own_browser_and_for_ten_minutes() {
    let world = asking("{ max_age = \"15m\" }").await;
    let (mut asha, mut also) = (world.sign_in_as("asha").await, world.sign_in_as("asha").await);
    world.clock.advance_secs(20 * 60);
    let step_up = asked(&asha.post(&format!("{READ}/console"), &[]).await);
    let onward = step_up.replace("/step-up/", "/continue/");
    for path in [&step_up, &onward] {
        let page = also.open(path).await;
        assert_eq!(page.status, 403);
        assert!(plain(&page.body).contains(Kind::StepUpRefused.title()), "{}", page.body);
        assert_eq!(world.broker.last_event("access.refused").await["cause"], "click-of-other-browser");
    }
    let mut stranger = Browser::new();
    assert_eq!(stranger.get(&world.broker.at(&onward)).await.url.path(), "/sign-in");

    let step_up = asked(&asha.post(&format!("{READ}/console"), &[]).await);
    world.clock.advance_secs(599);
    let people = asha.browser.get(&world.broker.at(&step_up)).await;
    assert!(people.has_form_with("pending"), "{}", people.body);
    world.clock.advance_secs(1);
    let late = asha.open(&step_up).await;
    assert!(late.status == 403 && late.body.contains(Kind::StepUpExpired.title()), "{}", late.body);
    world.broker.app.ground.store.remove_expired(world.broker.now()).await.unwrap();
    for junk in ["x", "%00", &"A".repeat(43)] {
        let page = asha.open(&format!("/continue/{junk}")).await;
        assert!(page.status == 403 && page.body.contains(Kind::StepUpExpired.title()), "{junk}: {}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_do_what_was_asked_signs_nobody_in_and_the_old_session_goes_on() {
    // The development provider names methods in OpenID Connect only, so no answer in SAML can meet this.
    let world = asking("{ methods = [\"hwk\"] }").await;
    let mut asha = world.sign_in_as("asha").await;
    let before = asha.session().to_owned();
    let page = asha.post(&format!("{READ}/console"), &[]).await;
    assert!(page.body.contains("with hardware key"), "{}", page.body);
    let step_up = asked(&page);
    let refused = recognised(&mut asha, &step_up, "asha", "security-key").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains(Kind::SignInNotReauthenticated.title()), "{}", refused.body);
    assert_eq!(world.broker.last_event("sign-in.refused").await["cause"], "authentication-method-weak");
    assert_eq!(asha.session(), before);
    let home = asha.browser.follow(&refused.link("/")).await;
    assert_eq!((home.status, home.url.path()), (200, "/"), "still signed in");
    assert_eq!(world.aws.wire.sts_calls(), 0);

    // Whoever goes on by hand is asked again: the role is decided on at the click.
    let onward = asha.open(&step_up.replace("/step-up/", "/continue/")).await;
    let page = asha.browser.submit(&onward.form_to(&format!("{READ}/console"))).await;
    asked(&page);
    assert_eq!(world.aws.wire.sts_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_told_what_is_asked_and_where_to_go() {
    let world = asking(&format!("{{ max_age = \"15m\", contexts = [\"{MFA}\"], methods = [\"mfa\"] }}")).await;
    let asha = world.sign_in_as("asha").await;
    world.clock.advance_secs(20 * 60);
    for action in ["console", "credentials"] {
        let answer = asha.program_post(&format!("{READ}/{action}"), &[]).await;
        let (sentence, request) = problem(&answer, 403, "step-up-required");
        assert!(
            sentence.starts_with("This role asks for a sign-in within the last 15 min by several factors"),
            "{sentence}"
        );
        let document = answer.json();
        assert_eq!(document["unmet"], "authentication-too-old");
        assert_eq!(document["authentication"], json!({ "max_age_s": 900, "contexts": [MFA], "methods": ["mfa"] }));
        assert_eq!(document["link"], "/go?account=111122223333&role=ReadOnly");
        let events = world.events_of(&request).await;
        assert_eq!((events.len(), events[0].0.as_str()), (1, "issue.denied"));
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    let role = |answer: &Value, name: &str| {
        let roles = answer["roles"].as_array().unwrap();
        let found = |role: &&Value| role["account"] == "111122223333" && role["role"] == name;
        roles.iter().find(found).cloned().unwrap()
    };
    let listed = asha.program_get("/api/v1/roles").await.json();
    assert_eq!(role(&listed, "ReadOnly")["authentication"]["max_age_s"], 900);
    assert_eq!(role(&listed, "ReadOnly")["step_up"], true);
    assert_eq!(
        (&role(&listed, "Admin")["authentication"], &role(&listed, "Admin")["step_up"]),
        (&json!(null), &json!(false))
    );
    assert_eq!(world.aws.wire.sts_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_asks_for_is_said_before_anybody_clicks_and_not_to_those_who_may_not_use_it() {
    let world = asking("{ max_age = \"15m\" }").await;
    let mut asha = world.sign_in_as("asha").await;
    let page = asha.open("/?q=payments+recent+sign-in").await;
    assert!(page.body.contains("1 role in 1 account") && page.body.contains("recent sign-in</span>"), "{}", page.body);
    let why = asha.open(&format!("{READ}/why")).await;
    assert!(why.body.contains("It asks for a sign-in within the last 15 min."), "{}", why.body);
    assert!(!asha.open("/roles/111122223333/Admin/why").await.body.contains("It asks for"));

    let omar = world.sign_in_as("omar").await;
    world.clock.advance_secs(20 * 60);
    let answer = omar.program_post(&format!("{READ}/console"), &[]).await;
    problem(&answer, 403, "role-not-permitted");
}

/// Through the OpenID provider with this strength, to where that leads.
async fn recognised_by_openid(browser: &mut Browser, start: &str, who: &str, strength: &str) -> Page {
    let people = browser.follow(start).await;
    let form = people.form_with("pending").set("person", who).set("strength", strength);
    let answer = browser.submit(&form).await;
    browser.go_on(answer).await
}

#[tokio::test(flavor = "multi_thread")]
async fn through_openid_connect_methods_count_too_and_the_age_is_that_of_the_token() {
    let world = asking("{ max_age = \"15m\", methods = [\"hwk\"] }").await;
    let mut browser = Browser::new();
    browser.get(&world.broker.at("/sign-in")).await;
    let home = recognised_by_openid(&mut browser, "/oidc/dev-oidc/start", "asha", "password").await;
    assert_eq!((home.status, home.url.path()), (200, "/"), "{}", home.body);
    let mut asha = Person::new(&world.broker.base, browser, &home);
    let console = format!("{READ}/console");

    let page = asha.post(&console, &[("duration", "900")]).await;
    let step_up = asked(&page);
    assert!(
        page.body.contains("You signed in by password.") && page.body.contains("with hardware key"),
        "{}",
        page.body
    );
    assert_eq!(last_denial(&world).await["cause"], "authentication-method-weak");

    let before = asha.session().to_owned();
    let weak = recognised_by_openid(&mut asha.browser, &step_up, "asha", "password").await;
    assert_eq!(weak.status, 403);
    assert!(weak.body.contains(Kind::SignInNotReauthenticated.title()), "{}", weak.body);
    assert_eq!(world.broker.last_event("sign-in.refused").await["cause"], "authentication-method-weak");
    assert_eq!(asha.session(), before, "the old session goes on");

    asha.open("/").await;
    let again = recognised_by_openid(&mut asha.browser, &step_up, "asha", "security-key").await;
    let there = asha.browser.submit(&again.form_to(&console)).await;
    assert!(there.url.path().starts_with("/console"), "{}: {}", there.url, there.body);
    assert_eq!(world.broker.last_event("issue.succeeded").await["duration_s"], 900);

    world.clock.advance_secs(20 * 60);
    let home = asha.open("/").await;
    asha.csrf = home.form_to("/sign-out").value("csrf").unwrap().to_owned();
    asked(&asha.post(&console, &[]).await);
    assert_eq!(last_denial(&world).await["cause"], "authentication-too-old");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_person_through_a_linked_connector_may_carry_the_click_on() {
    let world = asking("{ max_age = \"15m\" }").await;
    let mut asha = world.sign_in_as("asha").await;
    world.clock.advance_secs(20 * 60);
    let step_up = asked(&asha.post(&format!("{READ}/console"), &[]).await);
    let onward = step_up.replace("/step-up/", "/continue/");
    let start = format!("/oidc/dev-oidc/start?return_to={onward}");
    let again = recognised_by_openid(&mut asha.browser, &start, "asha", "password").await;
    let there = asha.browser.submit(&again.form_to(&format!("{READ}/console"))).await;
    assert!(there.url.path().starts_with("/console"), "{}: {}", there.url, there.body);
}
