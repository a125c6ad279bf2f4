//! The cases against a broker.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;

use super::cases::{Case, cases};
use super::play::{Scene, catalog};
use super::provider::Provider;
use crate::broker::Broker;
use crate::wire;

/// How many sign-ins are under way at once: enough that the slow ones wait together.
const AT_ONCE: usize = 12;
/// However slow a provider is, a person has an answer by then.
const LONGEST: Duration = Duration::from_secs(30);
/// How much of an answer is taken, with what the machine's sockets hold.
const MOST: usize = 24 * 1024 * 1024;

/// A broker with a connector and a provider for each of some cases, and a server that must not be called.
pub async fn stage(
    connectors: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> (Broker, Vec<Scene>, Provider) {
    let (broker, elsewhere) = (Broker::wishes().start().await, Provider::start().await);
    let (mut scenes, mut toml) = (Vec::new(), String::new());
    for (index, (settings, attributes)) in connectors.into_iter().enumerate() {
        let scene = Scene::new(&broker, &format!("c{index}"), &elsewhere.base).await;
        toml.push_str(&scene.toml(settings, attributes));
        scenes.push(scene);
    }
    broker.apply(&catalog(&toml)).await;
    (broker, scenes, elsewhere)
}

/// What was recorded about signing in through a connector: kind and cause.
pub async fn recorded(broker: &Broker, connector: &str) -> Vec<(String, String)> {
    let events = broker.events_after(0).await;
    let of_connector = events.into_iter().filter(|(_, body)| body["connector"] == connector);
    let of_sign_in = of_connector.filter(|(kind, _)| kind.starts_with("sign-in.") || kind.starts_with("logout."));
    of_sign_in.map(|(kind, body)| (kind, body["cause"].as_str().unwrap_or_default().to_owned())).collect()
}

/// Plays a case; gives the answer and the cookie of the browser it was given to.
async fn play(broker: &Broker, case: &Case, scene: &mut Scene) -> (wire::Answer, String) {
    (case.documents)(&mut scene.documents);
    scene.documents.publish(&scene.provider);
    match scene.begin().await {
        Err(answer) => (answer, String::new()),
        Ok(asked) => {
            let cookie = asked.cookie.clone();
            let mut reply = scene.honest(asked, broker.now());
            (case.reply)(&mut reply);
            let answer = scene.bring(&reply).await;
            (if answer.status == 303 { scene.follow(&answer, &reply.cookie).await } else { answer }, cookie)
        }
    }
}

/// What is otherwise than it should be.
async fn judge(broker: &Broker, case: &Case, mut scene: Scene) -> Vec<String> {
    let began = Instant::now();
    let (answer, cookie) = play(broker, case, &mut scene).await;
    let took = began.elapsed();
    let mut wrong = Vec::new();
    let mut check = |right: bool, what: String| {
        if !right {
            wrong.push(format!("{}: {what}", case.name));
        }
    };
    check(took < LONGEST, format!("took {took:?}"));
    let told = if answer.status >= 400 { answer.problem() } else { format!("nothing: {answer:?}") };
    check(
        (answer.status, told.as_str()) == (case.kind.status().as_u16(), case.kind.slug()),
        format!("{} {told} instead of {}", answer.status, case.kind.slug()),
    );
    check(!answer.headers.contains_key("location"), format!("leads on: {:?}", answer.headers));
    let sets_session =
        answer.headers.get_all("set-cookie").iter().any(|cookie| cookie.as_bytes().starts_with(b"rolegate="));
    check(!sets_session && scene.me(&cookie).await.status == 401, "somebody is signed in".to_owned());
    let expected = [("sign-in.refused".to_owned(), case.cause.to_owned())];
    let found = recorded(broker, &scene.connector).await;
    check(found == expected, format!("recorded {found:?} instead of {:?}", case.cause));
    for path in case.never {
        check(scene.provider.calls_to(path).is_empty(), format!("{path} was called"));
    }
    check(scene.provider.written() < MOST, format!("{} bytes were taken", scene.provider.written()));
    let open = scene.provider.left_open(Duration::from_secs(5)).await;
    check(open == 0, format!("{open} connections are still open"));
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_sign_in_is_refused_for_its_true_cause_and_leaves_nothing_hanging() {
    let cases = cases();
    assert!(cases.len() >= 150, "{}", cases.len());
    let names: HashSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "names are unique");
    let (broker, scenes, elsewhere) = stage(cases.iter().map(|case| (case.settings, case.attributes))).await;
    let wrong: Vec<String> = stream::iter(cases.iter().zip(scenes))
        .map(|(case, scene)| judge(&broker, case, scene))
        .buffer_unordered(AT_ONCE)
        .flat_map(stream::iter)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{} failures:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(elsewhere.accepted(), 0, "somebody was sent elsewhere, and went");
    assert_eq!(broker.rows("session").await, 0);
    assert_eq!(broker.rows("sign_in_ticket").await, 0);
    let events = broker.events().await;
    assert!(events.iter().all(|(kind, body)| kind != "sign-in.refused" || longest(body) < 2_000), "a long event");
}

/// Nobody shall be able to fill the audit log with one answer.
fn longest(body: &Value) -> usize {
    body.to_string().len()
}
