//! Devices without a browser: their codes, who approves them, and who is kept from it.

use serde_json::json;

use super::*;
use crate::browser_client::Page;
use crate::sandboxed::{plain, problem};

struct Device {
    device_code: String,
    user_code: String,
}

async fn begins(broker: &Broker) -> Device {
    let answer = begins_from(broker, None).await;
    device(&answer)
}

async fn begins_from(broker: &Broker, address: Option<&str>) -> Answer {
    let request = client().post(broker.at("/oauth/device_authorization")).form(&[("client_id", "rolegate-cli")]);
    let request = request.header("user-agent", "rolegate/0.1");
    let request = match address {
        Some(address) => request.header("x-forwarded-for", address),
        None => request,
    };
    send(request).await
}

fn device(answer: &Answer) -> Device {
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    Device { device_code: text("device_code"), user_code: text("user_code") }
}

async fn poll(broker: &Broker, device: &Device) -> Answer {
    token(broker, &polls(&device.device_code)).await
}

async fn says(person: &Person, device: &Device, decision: &str) -> Answer {
    let fields = [("user_code", device.user_code.as_str()), ("compared", "yes"), ("decision", decision)];
    person.program_post("/device", &fields).await
}

fn heading(page: &Page) -> String {
    let found = regex::Regex::new("(?s)<h1[^>]*>(.*?)</h1>").unwrap();
    found.captures(&page.body).unwrap_or_else(|| panic!("no heading in {}", page.body))[1].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_waits_until_somebody_who_compared_its_code_approves_it() {
    let world = Sandboxed::start().await;
    let answer = begins_from(&world.broker, None).await;
    let body = answer.json();
    let device = device(&answer);
    assert!(
        regex::Regex::new("^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$").unwrap().is_match(&device.user_code)
    );
    assert_eq!((body["expires_in"].as_u64(), body["interval"].as_u64()), (Some(600), Some(5)));
    assert_eq!(body["verification_uri"], world.broker.at("/device"));
    assert_eq!(body["verification_uri_complete"], world.broker.at(&format!("/device?user_code={}", device.user_code)));
    refused(&poll(&world.broker, &device).await, 400, "authorization_pending");

    let mut asha = world.sign_in_as("asha").await;
    let page = asha.open("/device").await;
    assert_eq!(heading(&page), "Connect a device");
    world.clock.advance_secs(120);
    // As people type.
    let typed = page.form_with("user_code").set("user_code", &device.user_code.to_lowercase().replace('-', " "));
    let page = asha.browser.submit(&typed).await;
    assert_eq!((page.status, heading(&page).as_str()), (200, "Did you start this yourself?"), "{}", page.body);
    for words in [
        "If you did not start this, refuse.",
        "Rolegate command line",
        "<code>127.0.0.1</code>",
        "The same network as yours.",
        "2 minutes ago",
        "It calls itself that, and its software rolegate. Rolegate cannot check either.",
        device.user_code.as_str(),
    ] {
        assert!(page.body.contains(words), "no `{words}` in {}", page.body);
    }
    refused(&poll(&world.broker, &device).await, 400, "authorization_pending");

    let approve = page.form_to("/device").set("decision", "approve").without("compared");
    let unticked = asha.browser.submit(&approve).await;
    assert_eq!(unticked.status, 400);
    assert!(unticked.body.contains("Compare the code with the one on your device"), "{}", unticked.body);
    world.clock.advance_secs(5);
    refused(&poll(&world.broker, &device).await, 400, "authorization_pending");

    let before = head(&world.broker).await;
    let done =
        asha.browser.submit(&unticked.form_to("/device").set("compared", "yes").set("decision", "approve")).await;
    assert_eq!((done.status, heading(&done).as_str()), (200, "Device approved"));
    let (access, refresh) = granted(&poll(&world.broker, &device).await);
    let event = only_event(&world.broker, before, "token.issued").await;
    assert_eq!(
        (&event["grant"], &event["token_kind"], &event["client"]),
        (&json!("device_code"), &json!("sign-in"), &json!("rolegate-cli"))
    );
    assert_eq!(me(&world.broker, &access).await, 200);
    granted(&token(&world.broker, &refreshes(&refresh)).await);
    refused(&poll(&world.broker, &device).await, 400, "invalid_grant");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_asks_too_often_has_to_wait_longer_each_time() {
    let world = Sandboxed::start().await;
    let device = begins(&world.broker).await;
    refused(&poll(&world.broker, &device).await, 400, "authorization_pending");
    for (wait, code) in [
        (4, "slow_down"),
        (9, "slow_down"),
        (15, "authorization_pending"),
        (14, "slow_down"),
        (20, "authorization_pending"),
    ] {
        world.clock.advance_secs(wait);
        refused(&poll(&world.broker, &device).await, 400, code);
    }
    // Too soon or not, it is told of the decision.
    let asha = world.sign_in_as("asha").await;
    assert_eq!(says(&asha, &device, "approve").await.status, 200);
    granted(&poll(&world.broker, &device).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_decided_on_once_and_by_one() {
    let world = Sandboxed::start().await;
    let (asha, lin) = (world.sign_in_as("asha").await, world.sign_in_as("lin").await);
    for (first, then) in [("approve", "approve"), ("approve", "refuse"), ("refuse", "approve")] {
        let device = begins(&world.broker).await;
        assert_eq!(says(&asha, &device, first).await.status, 200);
        let before = head(&world.broker).await;
        for person in [&lin, &asha] {
            let again = says(person, &device, then).await;
            assert_eq!(again.status, 404, "{first}, {then}");
            assert!(again.body.contains("approved or refused already"), "{}", again.body);
        }
        assert_eq!(tokens_since(&world.broker, before).await.len(), 0);
        let answer = poll(&world.broker, &device).await;
        if first == "approve" {
            let (access, _) = granted(&answer);
            let whose = send(client().get(world.broker.at("/api/v1/me")).bearer_auth(access)).await;
            assert_eq!(whose.json()["name"], "Asha Raman");
        } else {
            refused(&answer, 400, "access_denied");
            refused(&poll(&world.broker, &device).await, 400, "access_denied");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_refuses_a_device_has_it_told_so_and_recorded() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    let device = begins(&world.broker).await;
    let before = head(&world.broker).await;
    // Without a tick: there is nothing to compare for it.
    let page = lin.program_post("/device", &[("user_code", &device.user_code), ("decision", "refuse")]).await;
    assert!(page.status == 200 && page.body.contains("Device refused"), "{}", page.body);
    refused(&poll(&world.broker, &device).await, 400, "access_denied");
    let event = only_event(&world.broker, before, "token.refused").await;
    assert_eq!((&event["cause"], &event["asked_from"]), (&json!("refused-by-person"), &json!("127.0.0.1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_expires_for_the_person_and_for_the_device() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let device = begins(&world.broker).await;
    world.clock.advance_secs(600);
    let late = says(&asha, &device, "approve").await;
    assert_eq!(late.status, 404);
    assert!(late.body.contains("That code has expired."), "{}", late.body);
    refused(&poll(&world.broker, &device).await, 400, "expired_token");

    // Approved in time, fetched too late.
    let device = begins(&world.broker).await;
    assert_eq!(says(&asha, &device, "approve").await.status, 200);
    world.clock.advance_secs(600);
    refused(&poll(&world.broker, &device).await, 400, "expired_token");
    assert_eq!(world.broker.rows("token_authorization").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_approved_by_a_link_by_another_site_or_without_a_word() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let device = begins(&world.broker).await;
    let link = format!("/device?user_code={}&decision=approve&compared=yes", device.user_code);
    let page = asha.program_get(&link).await;
    assert!(page.status == 200 && page.body.contains("Did you start this yourself?"), "{}", page.body);
    assert!(!page.body.contains("checked"), "the tick is the person's own");
    for header in ["content-security-policy", "x-frame-options"] {
        assert!(page.header(header).contains(if header == "x-frame-options" {
            "DENY"
        } else {
            "frame-ancestors 'none'"
        }));
    }
    problem(&says(&asha, &device, "").await, 400, "bad-request");
    let fields = [("user_code", device.user_code.as_str()), ("compared", "yes"), ("decision", "approve")];
    let cross = client().post(world.broker.at("/device")).header("cookie", asha.cookie()).form(&fields);
    problem(&send(cross).await, 403, "cross-site");
    let stranger = client().post(world.broker.at("/device")).form(&fields);
    problem(&send(stranger).await, 401, "sign-in-required");
    refused(&poll(&world.broker, &device).await, 400, "authorization_pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_codes_is_hopeless() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    begins(&world.broker).await;
    let before = head(&world.broker).await;
    let letters = b"BCDFGHJKLMNPQRSTVWXZ";
    let mut tries = 0;
    let refused = loop {
        let code: String = (0..8).map(|at| char::from(letters[(tries * 7 + at * 3) % 20])).collect();
        let answer = if tries % 2 == 0 {
            asha.program_get(&format!("/device?user_code={code}")).await
        } else {
            asha.program_post("/device", &[("user_code", &code), ("compared", "yes"), ("decision", "approve")]).await
        };
        if answer.status != 404 {
            break answer;
        }
        assert!(answer.body.contains("No device waits with that code."), "{}", answer.body);
        tries += 1;
    };
    // Twelve at once and six a minute: seventy-two while a code lives, of 25.6 billion.
    assert!((12..=14).contains(&tries), "{tries}");
    problem(&refused, 429, "too-many-requests");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Everybody has tries of their own; those behind one address have a limit together.
    let lin = world.sign_in_as("lin").await;
    assert_eq!(lin.program_get("/device?user_code=BCDFGHJK").await.status, 404);
    assert_eq!(
        world.broker.events_after(before).await.iter().filter(|(kind, _)| kind.starts_with("token.")).count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_code_is_said_to_be_none() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let page = asha.open("/device?user_code=hello+%3Cb%3E").await;
    assert_eq!(page.status, 404);
    assert!(page.body.contains("A code has eight letters"), "{}", page.body);
    assert!(page.body.contains("value=\"hello &#60;b&#62;\""), "{}", page.body);
}

/// A broker that believes `X-Forwarded-For` and wants devices approved as the setting says.
async fn behind_a_proxy(device_codes: &'static str) -> Sandboxed {
    let wishes = Broker::wishes().set("web.trusted_proxies", "127.0.0.1/32").set("tokens.device_codes", device_codes);
    Sandboxed::with(wishes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_that_is_asked_a_device_is_approved_from_its_own_network_only() {
    let world = behind_a_proxy("same-network").await;
    let mut asha = world.sign_in_as("asha").await;
    let elsewhere = device(&begins_from(&world.broker, Some("198.51.100.7")).await);
    let before = head(&world.broker).await;
    let page = asha.open(&format!("/device?user_code={}", elsewhere.user_code)).await;
    assert_eq!((page.status, heading(&page).as_str()), (403, "That device cannot be approved from here"));
    let words = "The device asked from 198.51.100.7, and you are on another network.";
    assert!(plain(&page.body).contains(words), "{}", page.body);
    problem(&says(&asha, &elsewhere, "approve").await, 403, "device-refused");
    let events = tokens_since(&world.broker, before).await;
    assert_eq!(events.len(), 2, "{events:?}");
    for (kind, body) in &events {
        assert_eq!((kind.as_str(), &body["cause"]), ("token.refused", &json!("device-on-other-network")));
        assert_eq!((&body["asked_from"], &body["client_address"]), (&json!("198.51.100.7"), &json!("127.0.0.1")));
    }
    refused(&poll(&world.broker, &elsewhere).await, 400, "authorization_pending");
    // No is taken from anywhere.
    assert_eq!(says(&asha, &elsewhere, "refuse").await.status, 200);
    refused(&poll(&world.broker, &elsewhere).await, 400, "access_denied");

    let here = device(&begins_from(&world.broker, None).await);
    assert_eq!(says(&asha, &here, "approve").await.status, 200);
    granted(&poll(&world.broker, &here).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_nobody_named_no_network_is_the_persons_own() {
    // The attacker's device and the person come through one proxy, whose address is all that is seen of them.
    for header in ["x-forwarded-for", "forwarded"] {
        let world = Sandboxed::with(Broker::wishes().set("tokens.device_codes", "same-network")).await;
        let asha = world.sign_in_as("asha").await;
        let device = device(&begins_from(&world.broker, Some("203.0.113.9")).await);
        let through = |request: reqwest::RequestBuilder| {
            let request = request.header("cookie", asha.cookie()).header("sec-fetch-site", "same-origin");
            send(request.header(header, "for=198.51.100.7"))
        };
        let before = head(&world.broker).await;
        let page = client().get(world.broker.at(&format!("/device?user_code={}", device.user_code)));
        let (sentence, _) = problem(&through(page).await, 403, "device-refused");
        assert!(sentence.contains("belongs in `web.trusted_proxies`"), "{sentence}");
        let event = only_event(&world.broker, before, "token.refused").await;
        assert_eq!((&event["cause"], &event["asked_from"]), (&json!("network-unknown"), &json!("127.0.0.1")));
        assert_eq!(says(&asha, &device, "approve").await.status, 200, "who comes without a proxy is seen");
    }

    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let device = device(&begins_from(&world.broker, Some("203.0.113.9")).await);
    let page = client().get(world.broker.at(&format!("/device?user_code={}", device.user_code)));
    let page = send(page.header("cookie", asha.cookie()).header("x-forwarded-for", "198.51.100.7")).await;
    assert!(page.body.contains("Rolegate cannot tell whether the device is on your network."), "{}", page.body);
    assert!(!page.body.contains("The same network as yours."), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_elsewhere_is_warned_of_where_it_may_be_approved_from_anywhere() {
    let world = behind_a_proxy("anywhere").await;
    let mut asha = world.sign_in_as("asha").await;
    let elsewhere = device(&begins_from(&world.broker, Some("198.51.100.7")).await);
    let page = asha.open(&format!("/device?user_code={}", elsewhere.user_code)).await;
    assert!(page.body.contains("The device is on another network than you."), "{}", page.body);
    assert_eq!(says(&asha, &elsewhere, "approve").await.status, 200);
    granted(&poll(&world.broker, &elsewhere).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn device_codes_that_are_switched_off_are_given_to_nobody() {
    let world = Sandboxed::with(Broker::wishes().set("tokens.device_codes", "off")).await;
    let answer = begins_from(&world.broker, None).await;
    assert!(refused(&answer, 400, "unauthorized_client").contains("switched off"));
    let asha = world.sign_in_as("asha").await;
    for path in ["/device", "/device?user_code=BCDFGHJK"] {
        let (says, _) = problem(&asha.program_get(path).await, 403, "device-refused");
        assert!(says.contains("switched off here"), "{says}");
    }
    assert_eq!(world.broker.rows("device_request").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_an_approval_that_was_not_fetched_yet() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let device = begins(&world.broker).await;
    assert_eq!(says(&asha, &device, "approve").await.status, 200);
    asha.post("/sign-out", &[]).await;
    let before = head(&world.broker).await;
    refused(&poll(&world.broker, &device).await, 400, "invalid_grant");
    assert_eq!(only_event(&world.broker, before, "token.refused").await["cause"], "session-ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clients_device_code_is_refused_on_record_once_and_used_up() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let device = begins(&world.broker).await;
    assert_eq!(says(&asha, &device, "approve").await.status, 200);
    let (id, secret) = registered(&world.broker, "thief");
    let before = head(&world.broker).await;
    let stolen = polls(&device.device_code).set("client_id", &id).set("client_secret", &secret);
    for _ in 0..5 {
        refused(&token(&world.broker, &stolen).await, 400, "invalid_grant");
    }
    assert_eq!(only_event(&world.broker, before, "token.refused").await["cause"], "device-code-of-other-client");
    refused(&token(&world.broker, &polls(&"A".repeat(43))).await, 400, "invalid_grant");
    // Somebody has a copy of its code: it begins anew.
    refused(&poll(&world.broker, &device).await, 400, "invalid_grant");
    assert_eq!(world.broker.rows("device_request").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_fetch_at_once_one_gets_tokens_whichever_replica_it_asks() {
    let world = Sandboxed::start().await;
    let other = Broker::wishes().on_data_of(&world.broker).clock(&world.clock).start().await;
    let asha = world.sign_in_as("asha").await;
    for _ in 0..5 {
        let device = begins(&other).await;
        assert_eq!(says(&asha, &device, "approve").await.status, 200);
        let (one, two) = tokio::join!(poll(&world.broker, &device), poll(&other, &device));
        let (won, lost) = if one.status == 200 { (one, two) } else { (two, one) };
        granted(&won);
        refused(&lost, 400, "invalid_grant");
    }
    assert_eq!(world.broker.rows("token_authorization").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_asks_for_is_what_it_gets() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let begun = async |scope: &str| {
        let fields = [("client_id", "rolegate-cli"), ("scope", scope)];
        send(client().post(world.broker.at("/oauth/device_authorization")).form(&fields)).await
    };
    refused(&begun("admin").await, 400, "invalid_scope");
    let reads = device(&begun("read").await);
    let page = asha.program_get(&format!("/device?user_code={}", reads.user_code)).await;
    assert!(page.body.contains("it gets no credentials"), "{}", page.body);
    assert_eq!(says(&asha, &reads, "approve").await.status, 200);
    assert_eq!(poll(&world.broker, &reads).await.json()["scope"], "read");
    let nobody = Fields(vec![("client_id", "nobody".to_owned())]);
    refused(&post(&world.broker, "/oauth/device_authorization", &nobody).await, 401, "invalid_client");
}
