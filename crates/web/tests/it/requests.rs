//! What holds for every request: ids, routes, health.

use axum::body::Body;
use http::Request;

use crate::desk::Desk;

// A2
#[tokio::test]
async fn every_answer_has_a_request_id_and_a_short_one_of_the_caller_is_kept() {
    let desk = Desk::new();
    let ask = |id: &str| Request::get("/health").header("x-request-id", id).body(Body::empty()).unwrap();

    let kept = desk.send(ask("mine-1")).await.request_id;
    let made = desk.send(ask(&"x".repeat(200))).await.request_id;
    let other = desk.get("/health").await.request_id;

    assert_eq!(kept, "mine-1");
    assert_eq!((made.len(), other.len()), (32, 32));
    assert_ne!(made, other);
}

#[tokio::test]
async fn an_unknown_route_and_a_wrong_method_have_the_same_envelope() {
    let desk = Desk::new();

    assert_eq!(desk.get("/api/v1/nothing").await.refusal(), (404, "no_such_route"));
    assert_eq!(desk.get("/api/v1/jobs").await.refusal(), (405, "method_not_allowed"));
}

// A6
#[tokio::test]
async fn health_is_the_process_and_readiness_the_database() {
    let desk = Desk::new();

    assert_eq!(desk.get("/health").await.body["status"], "alive");
    assert_eq!(desk.get("/ready").await.body["endpoints"], 2);
}

// A7: time is tokio's here, which the test moves.
#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up_in_time() {
    let desk = Desk::new();
    let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());

    let slow = desk.post("/api/v1/jobs", never).await;

    assert_eq!(slow.refusal(), (408, "too_slow"));
}
