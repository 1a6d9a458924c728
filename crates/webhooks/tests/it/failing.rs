//! Receivers that refuse, hang, lie or are away.

use std::time::Duration;

use beacon_domain::{Delivery, DeliveryState};
use beacon_testkit::{Script, ScriptedEndpoint, Step, Tap, reply};

use crate::scene::{LIMIT, Scene, pause_s};

/// What one attempt at a receiver that does this leaves behind.
async fn attempt(step: impl Into<Step>) -> (Scene, Delivery) {
    let receiver = ScriptedEndpoint::start(Script::new().then(step)).await;
    let scene = Scene::new().await;
    let delivery = scene.attempt(&receiver.url("/secret-path")).await;
    assert!(!delivery.last_error.as_ref().is_some_and(|error| error.contains("secret-path")), "{delivery:?}");
    (scene, delivery)
}

/// It is tried again after five seconds, a tenth more at most.
async fn check_again(step: impl Into<Step>, status: Option<u16>, error: &str) {
    let (scene, delivery) = attempt(step).await;
    let pause = pause_s(&scene, &delivery);
    assert_eq!((delivery.state, delivery.last_status), (DeliveryState::Pending, status), "{delivery:?}");
    assert!(delivery.last_error.as_ref().is_some_and(|found| found.contains(error)), "{delivery:?}");
    assert!((5.0..=5.5).contains(&pause), "{pause}");
}

#[tokio::test]
async fn what_is_not_2xx_is_tried_again() {
    check_again(reply(500).text("x"), Some(500), "answered 500").await;
    check_again(reply(404), Some(404), "answered 404").await;
    check_again(reply(429), Some(429), "answered 429").await;
    check_again(reply(503).header("retry-after", "soon"), Some(503), "answered 503").await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again() {
    check_again(Step::Close, None, "the connection broke").await;
    check_again(Step::Reset, None, "the connection broke").await;
    check_again(Step::Raw("SSH-2.0-OpenSSH\r\n".into()), None, "the connection broke").await;
    check_again(Step::EndlessHead, None, "the connection broke").await;
}

#[tokio::test]
async fn a_receiver_that_wants_no_more_gets_no_more() {
    let (_, delivery) = attempt(reply(410)).await;

    assert_eq!((delivery.state, delivery.last_status), (DeliveryState::Failed, Some(410)));
    assert!(delivery.last_error.unwrap().contains("wants no more"));
}

#[tokio::test]
async fn a_receiver_says_when_to_come_again_within_bounds() {
    for (status, wish, least_s) in
        [(429, "120", 120.0), (503, "120", 120.0), (503, "99999999", 86_400.0), (429, "0", 5.0)]
    {
        let (scene, delivery) = attempt(reply(status).header("retry-after", wish)).await;
        let pause = pause_s(&scene, &delivery);
        assert!(pause >= least_s && pause <= least_s + 0.5, "{status} {wish}: {pause}");
    }
    // Other answers have no say.
    let (scene, delivery) = attempt(reply(500).header("retry-after", "120")).await;
    assert!(pause_s(&scene, &delivery) < 6.0);
}

#[tokio::test]
async fn a_redirect_is_an_error_and_never_followed() {
    let target = ScriptedEndpoint::start(Script::new().then_always(reply(200))).await;
    for status in [301, 302, 303, 307, 308] {
        check_again(reply(status).location(&target.url("/")), Some(status), "a redirect is never followed")
            .await;
    }

    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn the_head_of_an_answer_decides_however_long_or_slow_the_body_is() {
    let tap = Tap::new();
    for step in [
        Step::from(reply(200).text("x".repeat(1 << 16)).endless()),
        reply(200).claims_length(1 << 40).text("x").into(),
        reply(200).text("slow").dripping_from(&tap).into(),
    ] {
        let (_, delivery) = attempt(step).await;
        assert_eq!((delivery.state, delivery.last_status), (DeliveryState::Delivered, Some(200)));
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_is_left_after_the_limit() {
    let receiver = ScriptedEndpoint::start(Script::new().then(Step::Hang)).await;
    let scene = Scene::new().await;
    scene.queue(&[("msg_1", &receiver.url("/"))]).await;
    let (_drain, _sender) = scene.sender();
    receiver.wait_for_requests(1).await;

    scene.clock.advance(LIMIT);
    scene.written(1).await;

    let delivery = scene.log().await.remove(0);
    assert_eq!(delivery.last_error.as_deref(), Some("no answer within 15s"));
    assert_eq!(delivery.state, DeliveryState::Pending);
    receiver.wait_for_closed(1).await;
}

#[tokio::test]
async fn a_receiver_that_is_away_is_told_when_it_is_back_on_schedule() {
    let receiver = ScriptedEndpoint::start(
        Script::new().then(reply(502)).then(Step::Reset).then(reply(500)).then(reply(200)),
    )
    .await;
    let scene = Scene::new().await;
    scene.queue(&[("msg_1", &receiver.url("/"))]).await;
    let (_drain, _sender) = scene.sender();
    scene.written(1).await;

    for (attempts, least_s) in [(1, 5.0), (2, 300.0), (3, 1800.0)] {
        let waiting = scene.log().await.remove(0);
        let pause = pause_s(&scene, &waiting);
        assert!(
            waiting.attempts == attempts && pause >= least_s && pause <= least_s * 1.1,
            "{attempts}: {pause}"
        );
        scene.clock.advance(Duration::from_secs_f64(pause + 1.0));
        scene.written(attempts + 1).await;
    }

    let delivery = scene.log().await.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 4));
    let requests = receiver.requests();
    assert!(requests.iter().all(|request| request.header("webhook-id") == Some("msg_1")), "{requests:?}");
    assert_ne!(requests[0].header("webhook-timestamp"), requests[3].header("webhook-timestamp"));
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up_after_ten_attempts() {
    let scene = Scene::new().await;
    scene.queue(&[("msg_1", "http://127.0.0.1:1/")]).await;
    let (_drain, _sender) = scene.sender();

    for attempt in 1..=10 {
        scene.written(attempt).await;
        scene.clock.advance(Duration::from_secs(27 * 3600));
    }

    let delivery = scene.log().await.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Failed, 10));
    let error = delivery.last_error.unwrap();
    assert!(
        error.contains("nobody can be connected there") && error.contains("given up after 10"),
        "{error}"
    );
}
