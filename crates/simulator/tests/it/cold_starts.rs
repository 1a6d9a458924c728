//! Cold starts, reuse of containers, and scale-down when idle.

use beacon_simulator::SimEndpoint;

use crate::site::{Site, endpoint};

#[tokio::test]
async fn the_first_call_starts_a_container_and_the_next_one_reuses_it() {
    let site = Site::with(vec![SimEndpoint { cold_s: 10.0, ..endpoint(1.0) }]).await;

    let first = site.start("first").await;
    site.advance(10.0);
    assert!(!first.is_finished(), "the start-up comes before the work");
    site.advance(1.0);
    let first = first.await.unwrap();
    let second = site.start("second").await;
    site.advance(1.0);
    let second = second.await.unwrap();

    assert_eq!(
        (&first.json()["inference_time"], &second.json()["inference_time"]),
        (&11.0.into(), &1.0.into())
    );
    assert_eq!(site.total().cold_starts, 1);
}

#[tokio::test]
async fn a_container_that_was_idle_for_too_long_is_gone() {
    let site = Site::with(vec![SimEndpoint { cold_s: 10.0, idle_after_s: 60.0, ..endpoint(0.0) }]).await;
    let first = site.start("first").await;
    site.advance(10.0);
    first.await.unwrap();

    site.advance(60.0);
    site.post("still warm").await;
    site.advance(60.5);
    let cold = site.start("cold again").await;
    site.advance(10.0);
    cold.await.unwrap();

    assert_eq!((site.total().executions, site.total().cold_starts), (3, 2));
}

#[tokio::test]
async fn each_place_has_a_container_of_its_own() {
    let site = Site::with(vec![SimEndpoint { capacity: 2, cold_s: 10.0, ..endpoint(1.0) }]).await;

    for round in 0..3 {
        let calls = [site.start(&format!("{round}a")).await, site.start(&format!("{round}b")).await];
        site.until(|stats| stats.total.running == 2).await;
        site.advance(11.0);
        for call in calls {
            assert_eq!(call.await.unwrap().status, 200);
        }
    }

    assert_eq!((site.total().executions, site.total().cold_starts), (6, 2));
}
