//! Cancel: before the start, in flight, and after the end (S7).

use std::{sync::Arc, time::Duration};

use beacon_domain::{
    Batching, CallError, CancelReason, Cancelled, ErrorCode, ExecutionState, JobId, JobState, Stage,
};
use beacon_scheduler::{FunctionBackend, Stop};
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, Reply, WARM, answers_after, endpoint};

async fn cancel(bench: &Bench, job: JobId) -> Cancelled {
    let by = CancelReason::By("tester".to_owned());
    bench.ports.jobs.cancel(job, by, bench.ports.clock.now()).await.unwrap()
}

fn four() -> SpecBuilder {
    SpecBuilder::new("cancel").questions(&["first", "second"]).regions(&["US", "EU"])
}

// S7
#[tokio::test(start_paused = true)]
async fn a_job_cancelled_before_it_starts_makes_no_call() {
    let bench = Bench::of_two_regions();
    let job = bench.submit(&four(), Batching::Question).await;

    let cancelled = cancel(&bench, job).await;
    let ended = bench.run(job).await;

    assert_eq!((cancelled.waiting, cancelled.in_flight), (4, 0));
    assert_eq!(ended.state, JobState::Cancelled);
    assert!(bench.seen().is_empty());
    assert_eq!(ended.close.unwrap().body.receipts, 0);
}

// S7
#[tokio::test(start_paused = true)]
async fn a_cancel_drops_the_calls_in_flight_within_a_second_and_starts_no_more() {
    let hang = |region| (endpoint(region, "m"), Arc::new(|_: &crate::bench::Call| Reply::Hang));
    let ((us, us_hangs), (eu, eu_hangs)) = (hang(Region::UsEast), hang(Region::EuWest));
    let bench = Bench::new().endpoint(us, us_hangs).endpoint(eu, eu_hangs);
    let job = bench.submit(&four(), Batching::Question).await;
    let at_five = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        cancel(&bench, job).await
    };

    let (ended, cancelled) = tokio::join!(bench.run(job), at_five);

    assert_eq!((cancelled.waiting, cancelled.in_flight, cancelled.state), (2, 2, JobState::Cancelled));
    assert_eq!((ended.state, ended.counts.cancelled), (JobState::Cancelled, 4));
    assert_eq!(bench.seen().len(), 2);
    for call in bench.seen() {
        let dropped_after = call.ended.unwrap() - Duration::from_secs(5);
        assert!(dropped_after < Duration::from_secs(1), "{dropped_after:?}");
    }
}

// S7
#[tokio::test(start_paused = true)]
async fn a_call_that_was_stopped_by_a_cancel_is_no_late_answer() {
    let mut bench = Bench::new();
    for region in [Region::UsEast, Region::EuWest] {
        let stops = FunctionBackend::new(endpoint(region, "m"), |_, context| async move {
            context.stop.cancelled().await;
            Err(CallError::new(ErrorCode::Cancelled, Stage::Request, "the call was stopped"))
        });
        bench.ports.backends.push(Arc::new(stops));
    }
    let job = bench.submit(&four(), Batching::Endpoint).await;
    let at_five = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        cancel(&bench, job).await
    };

    let (_, cancelled) = tokio::join!(bench.run(job), at_five);

    assert_eq!(cancelled.in_flight, 2);
    assert!(bench.records(job).await.iter().all(|record| record.attempts.is_empty()));
}

// S7, S3
#[tokio::test(start_paused = true)]
async fn a_cancel_leaves_other_jobs_alone() {
    let bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), answers_after(WARM));
    let long = bench.submit(&SpecBuilder::new("long").question_count(50), Batching::Endpoint).await;
    let other = bench.submit(&SpecBuilder::new("other").question_count(5), Batching::Endpoint).await;
    let soon = async {
        bench.calls_made(3).await;
        cancel(&bench, long).await
    };

    let (ended, cancelled) = tokio::join!(bench.run(other), soon);

    assert_eq!(ended.state, JobState::Completed);
    assert!(!cancelled.already_ended);
    let of_long = bench.seen().iter().filter(|call| call.attempt.execution.job == long).count();
    assert!(of_long <= 3, "{of_long}");
}

// S7
#[tokio::test(start_paused = true)]
async fn a_cancel_after_the_end_changes_nothing_and_says_so() {
    let bench = Bench::of_two_regions();
    let job = bench.submit(&four(), Batching::Question).await;
    let ended = bench.run(job).await;

    let cancelled = cancel(&bench, job).await;

    assert!(cancelled.already_ended);
    assert_eq!((cancelled.state, cancelled.in_flight), (JobState::Completed, 0));
    assert_eq!(bench.job(job).await, ended);
}

// S7
#[tokio::test(start_paused = true)]
async fn calls_end_at_the_jobs_deadline_and_nothing_is_dispatched_after_it() {
    let bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), Arc::new(|_| Reply::Hang));
    let spec = SpecBuilder::new("deadline").question_count(3).constraint("timeout", 10_000_000_000_u64);
    let job = bench.submit(&spec, Batching::Question).await;
    let stop = Stop::new();
    let much_later = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        stop.drain();
    };

    tokio::join!(bench.work(stop.clone()), much_later);

    let ended = bench.job(job).await;
    assert_eq!((ended.state, ended.counts.timed_out), (JobState::TimedOut, 3));
    let seen = bench.seen();
    assert_eq!(seen.len(), 1);
    let ended = seen[0].ended.unwrap();
    assert!(ended >= Duration::from_secs(10) && ended < Duration::from_millis(11_500), "{ended:?}");
    let records = bench.records(job).await;
    assert_eq!(records[2].cell.state, ExecutionState::TimedOut);
    assert!(records[2].error.is_some());
}
