//! Cold starts and breakers (S8, S9).

use std::{sync::Arc, time::Duration};

use beacon_domain::{Batching, EndpointInfo, ErrorCode, JobState};
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, Call, Reply, WARM, answer, endpoint, fail};

const COLD: Duration = Duration::from_secs(180);

fn cold_endpoint(limit: u32) -> EndpointInfo {
    EndpointInfo { limit, cold_probe: true, ..endpoint(Region::UsEast, "m") }
}

/// The first call takes a start-up more than the others.
fn starts_up(call: &Call) -> Reply {
    answer(if call.number == 1 { COLD + WARM } else { WARM }, call)
}

// S8
#[tokio::test(start_paused = true)]
async fn one_call_wakes_a_cold_endpoint_and_the_others_follow_when_it_answers() {
    let bench = Bench::new().endpoint(cold_endpoint(4), Arc::new(starts_up));
    let job = bench.submit(&SpecBuilder::new("cold").question_count(9), Batching::Endpoint).await;

    let ended = bench.run(job).await;

    let starts: Vec<u64> = bench.seen().iter().map(|call| call.at.as_secs()).collect();
    assert_eq!(starts, [0, 181, 181, 181, 181, 182, 182, 182, 182]);
    assert_eq!(ended.makespan().unwrap(), COLD + WARM * 3);
}

// S8
#[tokio::test(start_paused = true)]
async fn an_endpoint_without_calls_for_a_while_is_cold_again() {
    let mut bench = Bench::new().endpoint(cold_endpoint(4), Arc::new(starts_up));
    bench.options.warm_for = Duration::from_secs(60);
    let first = bench.submit(&SpecBuilder::new("first").question_count(5), Batching::Endpoint).await;
    let stop = beacon_scheduler::Stop::new();
    let second = async {
        // Long after the first job has ended.
        tokio::time::sleep(Duration::from_secs(600)).await;
        let spec = SpecBuilder::new("second").question_count(5);
        let job = bench.submit(&spec, Batching::Endpoint).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        stop.drain();
        job
    };

    let ((), second) = tokio::join!(bench.work(stop.clone()), second);

    assert_eq!(bench.job(first).await.state, JobState::Completed);
    assert_eq!(bench.job(second).await.state, JobState::Completed);
    let starts: Vec<u64> = bench.seen()[5..].iter().map(|call| call.at.as_secs()).collect();
    assert_eq!(starts, [600, 601, 601, 601, 601]);
}

// S8
#[tokio::test(start_paused = true)]
async fn a_cold_start_that_fails_is_tried_by_one_call_again() {
    let script = |call: &Call| match call.number {
        1 => fail(COLD, ErrorCode::GatewayFailed),
        _ => starts_up(&Call { number: call.number - 1, ..call.clone() }),
    };
    let bench = Bench::new().endpoint(cold_endpoint(4), Arc::new(script));
    let job = bench.submit(&SpecBuilder::new("again").question_count(5), Batching::Endpoint).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    let seen = bench.seen();
    assert!(seen[1].at >= seen[0].ended.unwrap());
    assert!(seen[2].at >= seen[1].ended.unwrap(), "nobody joins before the first answer");
}

// S9
#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_is_left_alone_for_a_while_and_tried_by_one_call() {
    let mut info = endpoint(Region::UsEast, "m");
    info.limit = 8;
    let script = |call: &Call| match call.number {
        1..=8 => fail(WARM, ErrorCode::EndpointFailed),
        _ => answer(WARM, call),
    };
    let bench = Bench::new().endpoint(info, Arc::new(script));
    let job = bench.submit(&SpecBuilder::new("breaker").question_count(8), Batching::Endpoint).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    let seen = bench.seen();
    let trials: Vec<u64> = seen[8..].iter().map(|call| call.at.as_secs()).collect();
    assert!(trials[0] >= 6, "it was open for a while: {trials:?}");
    assert!(seen[9].at >= seen[8].ended.unwrap(), "half open: one at a time");
    assert_eq!(
        seen[10..].iter().filter(|call| call.at == seen[10].at).count(),
        6,
        "closed after two answers"
    );
}

// S9
#[tokio::test(start_paused = true)]
async fn a_single_failure_takes_no_endpoint_out() {
    let script = |call: &Call| match call.number {
        2 => fail(WARM, ErrorCode::EndpointFailed),
        _ => answer(WARM, call),
    };
    let bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), Arc::new(script));
    let job = bench.submit(&SpecBuilder::new("single").question_count(6), Batching::Endpoint).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    let starts: Vec<u64> = bench.seen().iter().map(|call| call.at.as_secs()).collect();
    assert_eq!(starts[..3], [0, 1, 2], "the next call goes out at once");
}
