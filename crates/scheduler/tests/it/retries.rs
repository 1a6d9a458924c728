//! What follows a failed attempt (S4, S5, C5, C6).

use std::{sync::Arc, time::Duration};

use beacon_domain::{Batching, CallError, ErrorCode, ExecutionState, JobState, Stage};
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, Call, Reply, WARM, answer, answers_after, endpoint, fail};

/// One execution on an endpoint that fails its first calls like this.
async fn after_failures(failures: usize, error: CallError) -> (Bench, beacon_domain::JobSummary) {
    let script = move |call: &Call| {
        if call.number <= failures { Reply::Fail(WARM, error.clone()) } else { answer(WARM, call) }
    };
    let bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), Arc::new(script));
    let job = bench.submit(&SpecBuilder::new("retry"), Batching::Question).await;
    let ended = bench.run(job).await;
    (bench, ended)
}

fn error(code: ErrorCode) -> CallError {
    CallError::new(code, Stage::Request, "scripted")
}

// S5, L2
#[tokio::test(start_paused = true)]
async fn a_retry_sends_the_same_request_to_the_same_endpoint_as_a_new_attempt() {
    let script = |call: &Call| match call.number {
        1 => fail(WARM, ErrorCode::ConnectionLost),
        _ => answer(WARM, call),
    };
    let bench = Bench::new()
        .endpoint(endpoint(Region::UsEast, "m"), Arc::new(script))
        .endpoint(endpoint(Region::EuWest, "m"), answers_after(WARM));
    let spec = SpecBuilder::new("same").regions(&["US", "EU"]);
    let job = bench.submit(&spec, Batching::Question).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    let seen = bench.seen();
    let calls: Vec<_> = seen.iter().filter(|call| call.endpoint.as_str() == "us-east/m").collect();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].request, calls[1].request);
    assert_eq!((calls[0].attempt.number, calls[1].attempt.number), (1, 2));
    let records = bench.records(job).await;
    assert_eq!(records[0].attempts[0].error.as_ref().unwrap().code, ErrorCode::ConnectionLost);
    assert_eq!(records[0].attempts[1].error, None);
    assert_eq!(records[1].attempts.len(), 1, "the other region had its one attempt");
}

// S4
#[tokio::test(start_paused = true)]
async fn back_off_waits_outside_of_the_slot() {
    let script = |call: &Call| match call.number {
        1 => fail(WARM, ErrorCode::ConnectionLost),
        _ => answer(WARM, call),
    };
    let mut bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), Arc::new(script));
    bench.options.retry.base = Duration::from_secs(20);
    let job = bench.submit(&SpecBuilder::new("slot").question_count(3), Batching::Endpoint).await;

    bench.run(job).await;

    let starts: Vec<_> =
        bench.seen().iter().map(|call| (call.attempt.execution.n, call.at.as_secs())).collect();
    assert_eq!(starts[..3], [(0, 0), (1, 1), (2, 2)], "the others go on meanwhile");
    assert_eq!(starts[3].0, 0);
    assert!((10..=22).contains(&starts[3].1), "half to whole of the back-off: {starts:?}");
}

// S4
#[tokio::test(start_paused = true)]
async fn the_time_that_an_endpoint_asks_for_is_kept() {
    let throttled = CallError { retry_after: Some(Duration::from_secs(30)), ..error(ErrorCode::Throttled) };

    let (bench, ended) = after_failures(1, throttled).await;

    assert_eq!(ended.state, JobState::Completed);
    assert_eq!(bench.seen()[1].at, WARM + Duration::from_secs(30));
}

// C5
#[tokio::test(start_paused = true)]
async fn throttling_uses_up_no_attempts() {
    let (bench, ended) = after_failures(20, error(ErrorCode::Throttled)).await;

    assert_eq!(ended.state, JobState::Completed);
    assert_eq!(bench.seen().len(), 21);
}

// C5
#[tokio::test(start_paused = true)]
async fn the_class_of_an_error_decides_how_often_it_is_tried() {
    let cases = [
        (ErrorCode::RejectedInput, 1),
        (ErrorCode::Unauthorized, 1),
        (ErrorCode::SpendLimit, 1),
        (ErrorCode::MalformedAnswer, 2),
        (ErrorCode::RegionMismatch, 2),
        (ErrorCode::ModelMismatch, 2),
        (ErrorCode::ConnectionLost, 4),
        (ErrorCode::EndpointFailed, 4),
        (ErrorCode::ProviderTimeout, 4),
    ];
    for (code, attempts) in cases {
        let (bench, ended) = after_failures(100, error(code)).await;

        assert_eq!((ended.state, bench.seen().len()), (JobState::Failed, attempts), "{code}");
        let record = bench.records(ended.id).await.remove(0);
        assert_eq!(record.cell.state, ExecutionState::Failed, "{code}");
        assert_eq!(record.attempts.len(), attempts, "{code}: every attempt is kept");
        assert_eq!(record.receipt.unwrap().body.error_code.as_deref(), Some(code.to_string().as_str()));
    }
}
