//! The counts of `GET /stats`, exactly, after a bit of everything.

use beacon_simulator::{Behaviour, EndpointStats, SimEndpoint, WhenFull};
use serde_json::json;

use crate::site::{Site, ask, endpoint, named, seconds};

#[tokio::test]
async fn every_count_is_right_after_a_mixed_scenario() {
    let first = SimEndpoint {
        capacity: 2,
        when_full: WhenFull::Reject,
        cold_s: 3.0,
        window_s: 4.0,
        script: vec![Behaviour::Answer, Behaviour::ServerError, Behaviour::Answer, Behaviour::Unavailable],
        ..endpoint(2.0)
    };
    let site = Site::with(vec![first, named("eu-west/m", 1.0)]).await;

    // Two run, cold, for 5 s; the third finds no room, the fourth a 503; one is refused for its input.
    let (slow, failing) = (site.start("slow").await, site.start("failing").await);
    assert_eq!(site.post("too much").await.status, 429);
    assert_eq!(site.post("unavailable").await.status, 503);
    assert_eq!(site.post("").await.status, 200);
    site.until(|stats| stats.total.running == 2).await;
    site.advance(4.0);
    let (slow, failing) = (slow.await.unwrap().location(), failing.await.unwrap().location());
    site.advance(1.0);
    assert_eq!((site.get(&slow).await.status, site.get(&failing).await.status), (200, 500));
    assert_eq!(site.get("/e/us-east~m/?__modal_function_call_id=fc-77").await.status, 404);
    // The same idempotency key again; the container is warm.
    let again = site.start("slow").await;
    site.advance(2.0);
    assert_eq!(again.await.unwrap().status, 200);
    // The other endpoint.
    let other = tokio::spawn(crate::site::send(site.addr(), "POST", "/e/eu-west~m/", "{}"));
    other.await.unwrap().unwrap();
    site.until(|stats| stats.total.calls == 7).await;

    let expected = EndpointStats {
        calls: 6,
        rejected: 2,
        refused: 1,
        executions: 3,
        cold_starts: 2,
        result_url_reads: 3,
        redirects: 2,
        repeated_keys: 1,
        in_flight: 0,
        max_in_flight: 2,
        running: 0,
        max_running: 2,
        gpu_time: seconds(12.0),
    };
    let stats = site.running.stats();
    assert_eq!(stats.endpoints.values().nth(1), Some(&expected));
    let other = EndpointStats { calls: 1, refused: 1, ..EndpointStats::default() };
    assert_eq!(stats.endpoints.values().next(), Some(&other));
    assert_eq!(stats.total, EndpointStats { calls: 7, refused: 2, ..expected });
    assert_eq!(stats.total.calls, stats.total.executions + stats.total.rejected + stats.total.refused);
}

#[tokio::test]
async fn the_counts_are_served_as_json_with_the_documented_names() {
    let site = Site::with(vec![endpoint(1.5)]).await;
    let call = site.start("why?").await;
    site.advance(1.5);
    call.await.unwrap();

    let stats = site.get("/stats").await.json();

    let counts = json!({
        "calls": 1, "rejected": 0, "refused": 0, "executions": 1, "cold_starts": 1, "result_url_reads": 0,
        "redirects": 0, "repeated_keys": 0, "in_flight": 0, "max_in_flight": 1, "running": 0, "max_running": 1,
        "gpu_seconds": 1.5,
    });
    let mut expected = counts.clone();
    expected["endpoints"] = json!({ "us-east/m": counts });
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn a_hundred_calls_in_parallel_are_counted_one_by_one() {
    let site = Site::with(vec![SimEndpoint { capacity: 7, ..endpoint(0.0) }, named("eu-west/m", 0.0)]).await;

    let calls = (0..100).map(|number| {
        let path = if number % 4 == 0 { "/e/eu-west~m/" } else { "/e/us-east~m/" };
        let site = &site;
        async move { site.post_to(path, &ask(&format!("question {number}"))).await.status }
    });
    let statuses = futures::future::join_all(calls).await;

    assert!(statuses.iter().all(|status| *status == 200));
    let stats = site.running.stats();
    let executions: Vec<_> = stats.endpoints.values().map(|endpoint| endpoint.executions).collect();
    assert_eq!((executions, stats.total.executions, stats.total.calls), (vec![25, 75], 100, 100));
    assert!(stats.total.max_running <= 8, "7 places and 1");
}
