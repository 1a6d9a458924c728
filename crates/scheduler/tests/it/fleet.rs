//! A worker and its operators: who is there, and what is changed at endpoints while they serve.

use std::{sync::Arc, time::Duration};

use beacon_domain::{Batching, EndpointOverride, ErrorCode};
use beacon_scheduler::Stop;
use beacon_spec::{Region, Timestamp};
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, Call, answers_after, endpoint, fail};

const CALL: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

async fn change(bench: &Bench, change: EndpointOverride) {
    let fleet = bench.ports.fleet.as_ref().unwrap();
    let endpoint = bench.ports.backends[0].describe().id.clone();
    fleet.endpoints.set_override(endpoint, change).await.unwrap();
}

fn to(limit: u32) -> EndpointOverride {
    EndpointOverride { limit: Some(limit), ..EndpointOverride::default() }
}

/// Starts a worker on so many questions; the endpoint has the limit 1 and may have 4.
async fn start(bench: &Bench, questions: u32) -> (Stop, tokio::task::JoinHandle<()>) {
    bench.submit(&SpecBuilder::new("fleet").question_count(questions), Batching::Endpoint).await;
    let (stop, bench) = (Stop::new(), bench.clone());
    let told = stop.clone();
    (stop, tokio::spawn(async move { bench.work(told).await }))
}

fn bench() -> Bench {
    let mut info = endpoint(Region::UsEast, "m");
    (info.limit, info.max_limit) = (1, 4);
    Bench::new().endpoint(info, answers_after(CALL))
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_there_while_it_works_and_leaves_at_its_end() {
    let bench = bench();
    let (stop, working) = start(&bench, 1).await;
    let attendance = Arc::clone(&bench.ports.fleet.as_ref().unwrap().attendance);
    let seen = async |since: Timestamp| attendance.workers(since, 9).await.unwrap();

    tokio::time::sleep(CALL * 30).await;
    let lately = bench.ports.clock.now() - bench.options.lease;
    let there = seen(lately).await;
    stop.drain();
    working.await.unwrap();

    assert_eq!(there.len(), 1, "it is seen as often as it renews");
    assert_eq!((there[0].worker.as_str(), there[0].version.as_str()), ("w", "test"));
    assert_eq!(there[0].endpoints, [bench.ports.backends[0].describe().id.clone()]);
    assert!(there[0].started_at < there[0].seen_at);
    assert_eq!(seen(Timestamp::UNIX_EPOCH).await.len(), 0);
}

// S1
#[tokio::test(start_paused = true)]
async fn another_limit_is_used_soon_and_never_above_the_highest() {
    let bench = bench();
    let (stop, working) = start(&bench, 40).await;
    let in_flight = || bench.seen().iter().filter(|call| call.ended.is_none()).count();

    tokio::time::sleep(SECOND).await;
    let at_first = in_flight();
    change(&bench, to(99)).await;
    tokio::time::sleep(SECOND * 3).await;
    let higher = in_flight();
    change(&bench, to(2)).await;
    tokio::time::sleep(CALL + SECOND * 3).await;
    let lower = in_flight();
    stop.abort();
    working.await.unwrap();

    assert_eq!((at_first, higher, lower), (1, 4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_drained_endpoint_gets_no_new_call_until_it_is_drained_no_more() {
    let bench = bench();
    let (stop, working) = start(&bench, 40).await;
    tokio::time::sleep(SECOND).await;

    change(&bench, EndpointOverride { drain: true, ..EndpointOverride::default() }).await;
    tokio::time::sleep(CALL * 5).await;
    let drained = bench.seen().len();
    change(&bench, EndpointOverride::default()).await;
    tokio::time::sleep(SECOND * 3).await;
    let again = bench.seen().len();
    stop.abort();
    working.await.unwrap();

    assert_eq!((drained, again), (1, 2));
}

// S9
#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_reset_lets_calls_through_at_once() {
    let mut info = endpoint(Region::UsEast, "m");
    info.limit = 8;
    let script = Arc::new(|_: &Call| fail(Duration::from_millis(10), ErrorCode::ConnectionLost));
    let bench = Bench::new().endpoint(info, script);
    let (stop, working) = start(&bench, 40).await;
    tokio::time::sleep(SECOND * 2).await;
    let broken = bench.seen().len();
    tokio::time::sleep(SECOND).await;
    assert_eq!(bench.seen().len(), broken, "the breaker is open");

    let reset_at = Some(bench.ports.clock.now());
    change(&bench, EndpointOverride { reset_at, ..EndpointOverride::default() }).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let reset = bench.seen().len();
    stop.abort();
    working.await.unwrap();

    assert!(reset > broken + 1, "{reset} calls after {broken}: more than a trial");
}
