//! Sign-ins that go wrong over time: used again, brought by somebody else, answered by somebody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rolegate::sys::{Clock as _, ManualClock, SystemClock};
use rolegate::web::problem::Kind;
use serde_json::json;

use super::forge::Who;
use super::judged::recorded;
use super::play::{Asked, Scene, catalog};
use super::provider::{Answer, Provider};
use crate::broker::{Broker, Wishes};
use crate::wire;

/// A broker with two providers, and a clock that the test moves.
struct Stage {
    broker: Broker,
    clock: Arc<ManualClock>,
    one: Scene,
    other: Scene,
    elsewhere: Provider,
}

impl Stage {
    async fn start() -> Self {
        Self::with(Broker::wishes(), "").await
    }

    async fn with(wishes: Wishes, settings: &str) -> Self {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let broker = wishes.clock(&clock).start().await;
        let elsewhere = Provider::start().await;
        let one = Scene::new(&broker, "one", &elsewhere.base).await;
        let other = Scene::new(&broker, "other", &elsewhere.base).await;
        let toml = [one.toml(settings, ""), other.toml(settings, "")].concat();
        broker.apply(&catalog(&toml)).await;
        Self { broker, clock, one, other, elsewhere }
    }

    async fn begun(&self) -> Asked {
        self.one.begin().await.unwrap_or_else(|answer| panic!("{answer:?}"))
    }

    /// That an answer is a problem of this kind, was recorded for this cause, and signs nobody in.
    async fn refused(&self, scene: &Scene, answer: &wire::Answer, kind: Kind, cause: &str) {
        assert_eq!((answer.status, answer.problem().as_str()), (kind.status().as_u16(), kind.slug()), "{answer:?}");
        assert!(!answer.headers.contains_key("location"), "{answer:?}");
        let newest = recorded(&self.broker, &scene.connector).await.pop().expect("it was recorded");
        assert_eq!(newest, ("sign-in.refused".to_owned(), cause.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_a_second_time_is_refused_and_its_code_is_not_sent_again() {
    let stage = Stage::start().await;
    let Stage { one, broker, .. } = &stage;
    let reply = one.honest(stage.begun().await, broker.now());
    let accepted = one.bring(&reply).await;
    let again = one.callback(&reply).await;
    stage.refused(one, &again, Kind::SignInUnsolicited, "no-attempt").await;
    assert_eq!(one.provider.calls_to("/token").len(), 1);
    let session = one.session(&accepted, &reply.cookie).await;
    assert_eq!(one.me(&session).await.status, 200);
    // Nor does the ticket work twice.
    let again = one.follow(&accepted, &reply.cookie).await;
    stage.refused(one, &again, Kind::SignInExpired, "no-ticket").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_that_comes_ten_times_at_once_counts_once() {
    let stage = Stage::start().await;
    let Stage { one, broker, .. } = &stage;
    let reply = one.honest(stage.begun().await, broker.now());
    reply.arm(&one.provider);
    let answers = futures_util::future::join_all((0..10).map(|_| one.callback(&reply))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 303).count(), 1);
    assert_eq!(one.provider.calls_to("/token").len(), 1);
    assert_eq!(recorded(broker, "one").await.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_nobody_is_refused() {
    let stage = Stage::start().await;
    let Stage { one, broker, .. } = &stage;
    let mut reply = one.honest(stage.begun().await, broker.now());
    reply.bring("state", &"B".repeat(43));
    let answer = one.bring(&reply).await;
    stage.refused(one, &answer, Kind::SignInUnsolicited, "no-attempt").await;
    assert!(one.provider.calls_to("/token").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_for_one_browser_signs_no_other_in_and_cannot_be_used_after_that() {
    for settings in ["", "response_mode = \"form_post\""] {
        let stage = Stage::with(Broker::wishes(), settings).await;
        let Stage { one, broker, .. } = &stage;
        // The attacker's own, honest answer, brought by the browser of somebody who has begun too.
        let (attacker, victim) = (stage.begun().await, stage.begun().await);
        let mut reply = one.honest(attacker, broker.now());
        reply.cookie = victim.cookie;
        let answer = one.bring(&reply).await;
        let answer = if answer.status == 303 { one.follow(&answer, &reply.cookie).await } else { answer };
        stage.refused(one, &answer, Kind::SignInOtherBrowser, "other-browser").await;
        assert_eq!(one.provider.calls_to("/token").len(), usize::from(reply.posted), "{settings}");
        // The one whose it is comes too late.
        reply.cookie = reply.asked.cookie.clone();
        let answer = one.callback(&reply).await;
        stage.refused(one, &answer, Kind::SignInUnsolicited, "no-attempt").await;
        assert_eq!(broker.rows("session").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_through_another_connector_is_refused_before_its_code_goes_anywhere() {
    let stage = Stage::start().await;
    let Stage { one, other, broker, .. } = &stage;
    let reply = one.honest(stage.begun().await, broker.now());
    reply.arm(&one.provider);
    // The other provider would take it.
    let mut stolen = reply.clone();
    stolen.documents = other.documents.clone();
    stolen.bring("iss", &other.provider.base);
    let answer = other.bring(&stolen).await;
    stage.refused(other, &answer, Kind::SignInRefused, "other-connector").await;
    assert!(other.provider.calls_to("/token").is_empty() && one.provider.calls_to("/token").is_empty());
    let answer = one.callback(&reply).await;
    stage.refused(one, &answer, Kind::SignInUnsolicited, "no-attempt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_took_too_long_is_refused_as_such() {
    let stage = Stage::start().await;
    let Stage { one, broker, clock, .. } = &stage;
    let asked = stage.begun().await;
    clock.advance_secs(3_000);
    let answer = one.bring(&one.honest(asked, broker.now())).await;
    stage.refused(one, &answer, Kind::SignInExpired, "attempt-expired").await;
    assert!(one.provider.calls_to("/token").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_of_one_browser_do_not_spoil_each_other() {
    let stage = Stage::start().await;
    let Stage { one, broker, .. } = &stage;
    let first = stage.begun().await;
    let second = stage.begun().await;
    for asked in [second, first] {
        let reply = one.honest(asked, broker.now());
        let accepted = one.bring(&reply).await;
        one.session(&accepted, &reply.cookie).await;
    }
    assert_eq!(recorded(broker, "one").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_is_disabled_meanwhile_signs_nobody_in() {
    let stage = Stage::start().await;
    let Stage { one, other, broker, .. } = &stage;
    let reply = one.honest(stage.begun().await, broker.now());
    let toml = [one.toml("enabled = false", ""), other.toml("", "")].concat();
    broker.apply(&catalog(&toml)).await;
    let answer = one.bring(&reply).await;
    stage.refused(one, &answer, Kind::ConnectorUnknown, "connector-unknown").await;
    assert!(one.provider.calls_to("/token").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_make_us_ask_once_a_minute_and_no_more() {
    let stage = Stage::start().await;
    let Stage { one, broker, clock, .. } = &stage;
    one.sign_in(broker.now(), |_| {}).await;
    let asked_before = one.provider.calls_to("/jwks").len();
    let forged = async || {
        let mut reply = one.honest(stage.begun().await, broker.now());
        reply.id_token = reply.id_token.clone().signed("RS256", Who::Stranger, "unheard-of");
        one.bring(&reply).await
    };
    for _ in 0..5 {
        let answer = forged().await;
        stage.refused(one, &answer, Kind::SignInRefused, "key-unknown").await;
    }
    assert_eq!(one.provider.calls_to("/jwks").len(), asked_before + 1);
    clock.advance_secs(61);
    forged().await;
    assert_eq!(one.provider.calls_to("/jwks").len(), asked_before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_keys_go_on_being_used_while_the_provider_publishes_nonsense() {
    let stage = Stage::start().await;
    let Stage { one, broker, clock, .. } = &stage;
    one.sign_in(broker.now(), |_| {}).await;
    clock.advance_secs(120);
    let nonsense = json!({ "keys": [] });
    let mut reply = one.honest(stage.begun().await, broker.now());
    reply.documents.jwks = nonsense.clone();
    reply.id_token = reply.id_token.clone().signed("RS256", Who::Next, "next");
    let answer = one.bring(&reply).await;
    stage.refused(one, &answer, Kind::SignInRefused, "key-unknown").await;
    let session = one
        .sign_in(broker.now(), |reply| {
            reply.documents.jwks = nonsense;
        })
        .await;
    assert_eq!(one.me(&session).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_keeps_nobody_from_signing_in_through_another() {
    let stage = Stage::start().await;
    let Stage { one, other, broker, .. } = &stage;
    one.provider.answer("/token", Answer::Silence);
    let mut stuck = Vec::new();
    for _ in 0..20 {
        let reply = one.honest(stage.begun().await, broker.now());
        stuck.push(reply);
    }
    let hanging = futures_util::future::join_all(stuck.iter().map(|reply| one.callback(reply)));
    let honest = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        let session = other.sign_in(broker.now(), |_| {}).await;
        assert_eq!(other.me(&session).await.status, 200);
        began.elapsed()
    };
    let (answers, took) = tokio::join!(hanging, honest);
    assert!(took < Duration::from_secs(5), "{took:?}");
    for answer in answers {
        assert!(
            matches!(answer.problem().as_str(), "identity-provider-unavailable" | "too-many-requests"),
            "{answer:?}"
        );
    }
    assert_eq!(one.provider.left_open(Duration::from_secs(5)).await, 0);
    assert_eq!(stage.elsewhere.accepted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_hangs_up_leaves_no_call_behind() {
    let stage = Stage::start().await;
    let Stage { one, broker, .. } = &stage;
    let reply = one.honest(stage.begun().await, broker.now());
    reply.arm(&one.provider);
    one.provider.answer("/token", Answer::Silence);
    let gone = tokio::time::timeout(Duration::from_millis(500), one.callback(&reply)).await;
    assert!(gone.is_err(), "it waits for the provider");
    assert_eq!(one.provider.left_open(Duration::from_secs(30)).await, 0);
    // It is on record all the same.
    for _ in 0..100 {
        if !recorded(broker, "one").await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(recorded(broker, "one").await, [("sign-in.refused".to_owned(), "provider-slow".to_owned())]);
}
