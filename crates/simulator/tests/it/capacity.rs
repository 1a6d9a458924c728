//! Capacity: so many at once, and a queue or 429 above it.

use beacon_simulator::{SimEndpoint, WhenFull};

use crate::site::{Site, endpoint};

#[tokio::test]
async fn an_endpoint_of_capacity_one_works_on_one_call_and_queues_the_others_in_order() {
    let site = Site::with(vec![endpoint(1.0)]).await;
    let first = site.start("first").await;
    let second = site.start("second").await;
    let third = site.start("third").await;
    assert_eq!((site.total().running, site.total().in_flight), (1, 3));

    site.advance(1.0);
    assert!(first.await.unwrap().text().contains("first"));
    assert!(!second.is_finished() && !third.is_finished());

    site.until(|stats| stats.total.executions == 2).await;
    site.advance(1.0);
    assert!(second.await.unwrap().text().contains("second"));
    assert!(!third.is_finished());

    site.until(|stats| stats.total.executions == 3).await;
    site.advance(1.0);
    assert!(third.await.unwrap().text().contains("third"));
    assert_eq!((site.total().max_running, site.total().max_in_flight), (1, 3));
}

#[tokio::test]
async fn an_endpoint_of_capacity_three_works_on_three_calls_at_once() {
    let site = Site::with(vec![SimEndpoint { capacity: 3, ..endpoint(1.0) }]).await;
    let mut calls = Vec::new();
    for number in 0..5 {
        calls.push(site.start(&format!("question {number}")).await);
    }
    site.until(|stats| stats.total.running == 3).await;

    site.advance(1.0);
    site.until(|stats| stats.total.executions == 5).await;
    assert_eq!(site.total().running, 2);
    site.advance(1.0);

    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
    assert_eq!((site.total().max_running, site.total().max_in_flight), (3, 5));
}

#[tokio::test]
async fn a_full_endpoint_that_rejects_answers_429_with_whole_seconds_to_wait() {
    let full = SimEndpoint { when_full: WhenFull::Reject, retry_after_s: 1.5, ..endpoint(1.0) };
    let site = Site::with(vec![full]).await;
    let first = site.start("first").await;

    let second = site.post("second").await;

    assert_eq!((second.status, second.header("retry-after")), (429, Some("2")));
    site.advance(1.0);
    assert_eq!(first.await.unwrap().status, 200);
    let total = site.total();
    assert_eq!((total.calls, total.rejected, total.executions, total.max_in_flight), (2, 1, 1, 1));
}

#[tokio::test]
async fn the_place_of_an_answered_call_is_free_at_once() {
    let site = Site::with(vec![SimEndpoint { when_full: WhenFull::Reject, ..endpoint(0.0) }]).await;

    for number in 0..50 {
        assert_eq!(site.post(&number.to_string()).await.status, 200);
    }

    assert_eq!(site.total().rejected, 0);
}
