//! Requests that are repeated under their idempotency key.

use std::time::Duration;

use axum::body::Body;
use beacon_domain::{IdempotencyAsk, IdempotencyKey};
use beacon_spec::Sha256Digest;
use beacon_testkit::SpecBuilder;
use http::Request;

use crate::{
    desk::{Answer, Desk, TOKEN},
    scene::Scene,
};

async fn keyed(desk: &Desk, path: &str, key: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path).header("authorization", format!("Bearer {TOKEN}"));
    desk.send(request.header("idempotency-key", key).body(body.into()).unwrap()).await
}

// A5
#[tokio::test]
async fn a_submission_that_is_repeated_gets_its_first_answer_however_old_it_is() {
    let desk = Desk::new();
    let job = desk.signed(&SpecBuilder::new("job"));

    let first = keyed(&desk, "/api/v1/jobs", "k", job.clone()).await;
    desk.clock.advance(Duration::from_secs(3600));
    let again = keyed(&desk, "/api/v1/jobs", "k", job).await;

    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (202, ""));
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (202, "true"));
    assert_eq!(
        (again.bytes, again.headers["location"].clone()),
        (first.bytes, first.headers["location"].clone())
    );
}

// A5
#[tokio::test]
async fn a_key_is_for_one_request_and_a_refusal_gives_it_back() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;
    let retry = |job| format!("/api/v1/jobs/{job}/retry-failed");

    let refused = keyed(&desk, &retry(scene.running), "k", "").await;
    let first = keyed(&desk, &retry(scene.ended), "k", "").await;
    let again = keyed(&desk, &retry(scene.ended), "k", "").await;
    let other = keyed(&desk, &retry(scene.running), "k", "").await;

    assert_eq!(refused.refusal(), (409, "job_open"));
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 202));
    assert_eq!((again.header("idempotency-replayed"), again.job_id()), ("true", first.job_id()));
    assert_eq!(other.refusal(), (422, "idempotency_key_reused"));
}

// A5
#[tokio::test]
async fn a_twin_of_a_request_that_is_being_done_is_told_to_wait() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;
    let path = format!("/api/v1/jobs/{}/retry-failed", scene.ended);
    let ask = IdempotencyAsk {
        key: IdempotencyKey { owner: "operator".to_owned(), key: "k".to_owned() },
        request: Sha256Digest::of(format!("POST {path}\n").as_bytes()),
        keep: Duration::from_secs(60),
        patience: Duration::from_secs(60),
        now: desk.now(),
    };
    desk.operations.begin(ask).await.unwrap();

    let twin = keyed(&desk, &path, "k", "").await;

    assert_eq!((twin.refusal(), twin.header("retry-after")), ((409, "idempotency_in_progress"), "1"));
}

// P11: the process that took it died before it could keep its answer.
#[tokio::test]
async fn a_submission_that_made_its_job_is_answered_at_once_whoever_died() {
    let desk = Desk::new();
    let job = desk.signed(&SpecBuilder::new("job"));
    let ask = IdempotencyAsk {
        key: IdempotencyKey { owner: "key test".to_owned(), key: "k".to_owned() },
        request: Sha256Digest::of(&[b"POST /api/v1/jobs\n", job.as_slice()].concat()),
        keep: Duration::from_secs(60),
        patience: Duration::from_secs(60),
        now: desk.now(),
    };
    desk.operations.begin(ask).await.unwrap();

    let unknown = keyed(&desk, "/api/v1/jobs", "k", job.clone()).await;
    let made = desk.post("/api/v1/jobs", job.clone()).await;
    let again = keyed(&desk, "/api/v1/jobs", "k", job).await;

    assert_eq!(unknown.refusal(), (409, "idempotency_in_progress"));
    assert_eq!((made.status.as_u16(), again.status.as_u16()), (202, 200));
    assert_eq!(again.job_id(), made.job_id());
}

#[tokio::test]
async fn the_secret_of_a_token_is_shown_once_and_kept_nowhere() {
    let desk = Desk::new();
    let new = async || keyed(&desk, "/api/v1/admin/tokens", "k", r#"{"name":"ci","scope":"read"}"#).await;

    let (first, again) = (new().await, new().await);

    let secret = first.body["token"].as_str().unwrap();
    let keys = desk.ask("GET", "/api/v1/admin/keys", secret, "").await;
    assert_eq!(keys.refusal(), (403, "scope_too_narrow"), "it is known");
    assert_eq!((again.status.as_u16(), &again.body["id"]), (201, &first.body["id"]));
    assert!(again.body["token"].is_null(), "{}", again.body);
}

#[tokio::test]
async fn an_idempotency_key_that_is_no_short_text_is_refused() {
    let desk = Desk::new();

    for key in ["", "two words", &"x".repeat(256)] {
        let answer = keyed(&desk, "/api/v1/jobs", key, desk.signed(&SpecBuilder::new("job"))).await;
        assert_eq!(answer.refusal(), (400, "invalid_idempotency_key"), "{key:?}");
    }
}
