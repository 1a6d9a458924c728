//! Time limits nest, and each clock starts where it should (S6).

use std::{sync::Arc, time::Duration};

use beacon_domain::{Batching, ErrorCode, JobState, WorkerId};
use beacon_scheduler::{AcceptError, OptionsError, Scheduler, Timeouts};
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, Call, Reply, WARM, answers_after, endpoint, fail};

const NS: u64 = 1_000_000_000;

fn hanging() -> Bench {
    Bench::new().endpoint(endpoint(Region::UsEast, "m"), Arc::new(|_| Reply::Hang))
}

// S6
#[tokio::test(start_paused = true)]
async fn an_attempt_ends_at_its_limit_which_starts_at_its_dispatch() {
    let mut bench = hanging();
    bench.options.retry.max_attempts = 1;
    let spec = SpecBuilder::new("attempt").question_count(2).constraint("provider_timeout", 40 * NS);
    let job = bench.submit(&spec, Batching::Endpoint).await;

    let ended = bench.run(job).await;

    let seen = bench.seen();
    assert_eq!(seen.iter().map(|call| call.deadline.as_secs()).collect::<Vec<_>>(), [40, 80]);
    assert_eq!((ended.state, ended.counts.failed), (JobState::Failed, 2));
    let record = bench.records(job).await.remove(1);
    assert_eq!(record.error.unwrap().code, ErrorCode::AttemptTimeout);
    assert_eq!(record.attempts[0].duration, Duration::from_secs(40), "queue time is apart");
}

// S6
#[tokio::test(start_paused = true)]
async fn a_call_gets_no_more_than_the_time_that_is_left_of_its_job() {
    let bench = hanging();
    let spec =
        SpecBuilder::new("nested").constraint("timeout", 90 * NS).constraint("provider_timeout", 60 * NS);
    let job = bench.submit(&spec, Batching::Question).await;

    bench.run(job).await;

    let deadlines: Vec<f64> = bench.seen().iter().map(|call| call.deadline.as_secs_f64().round()).collect();
    assert_eq!(deadlines, [60.0, 90.0]);
}

// S6
#[tokio::test(start_paused = true)]
async fn an_execution_that_waited_long_still_has_its_whole_time() {
    let mut bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), answers_after(WARM * 60));
    bench.options.timeouts = Timeouts {
        attempt: Duration::from_secs(100),
        execution: Duration::from_secs(300),
        ..Timeouts::default()
    };
    let job = bench.submit(&SpecBuilder::new("waits").question_count(20), Batching::Endpoint).await;

    let ended = bench.run(job).await;

    assert_eq!((ended.state, ended.counts.completed), (JobState::Completed, 20));
    assert_eq!(ended.makespan().unwrap().as_secs(), 1200, "four times the limit of one execution");
}

// S6
#[tokio::test(start_paused = true)]
async fn an_execution_ends_at_its_own_limit_however_many_attempts_are_left() {
    let script = |_: &Call| fail(Duration::from_secs(50), ErrorCode::ConnectionLost);
    let mut bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), Arc::new(script));
    bench.options.retry.max_attempts = 1000;
    bench.options.timeouts.attempt = Duration::from_secs(60);
    bench.options.timeouts.execution = Duration::from_secs(200);
    let job = bench.submit(&SpecBuilder::new("execution"), Batching::Question).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Failed);
    let last = bench.seen().last().unwrap().ended.unwrap();
    assert!(last <= Duration::from_secs(200), "{last:?}");
    assert!((3..=4).contains(&bench.seen().len()));
}

// S6
#[tokio::test(start_paused = true)]
async fn queue_time_has_its_own_limit_when_asked_for() {
    let mut bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), answers_after(WARM * 10));
    bench.options.timeouts.queue = Some(Duration::from_secs(25));
    let job = bench.submit(&SpecBuilder::new("queue").question_count(5), Batching::Endpoint).await;

    let ended = bench.run(job).await;

    assert_eq!((ended.counts.completed, ended.counts.timed_out), (3, 2));
    assert_eq!(bench.seen().len(), 3, "what waited too long is not called");
    let record = bench.records(job).await.remove(4);
    assert_eq!(record.error.unwrap().code, ErrorCode::DeadlinePassed);
    assert!(record.receipt.unwrap().verify().is_ok());
}

// S6
#[tokio::test(start_paused = true)]
async fn settings_and_specs_whose_limits_do_not_nest_are_refused() {
    let mut bench = Bench::of_two_regions();
    let long_attempt =
        SpecBuilder::new("a").constraint("timeout", 5 * NS).constraint("provider_timeout", 6 * NS);
    let refused = bench.try_submit(&long_attempt, Batching::Question).await;
    assert!(matches!(refused, Err(AcceptError::TimeoutsDoNotNest { .. })), "{refused:?}");

    bench.options.timeouts.attempt = bench.options.timeouts.execution;
    let refused = Scheduler::new(WorkerId::new("w"), bench.ports.clone(), bench.options.clone());
    assert!(matches!(refused, Err(OptionsError::TimeoutsDoNotNest { .. })));
}

// S6, P12
#[tokio::test(start_paused = true)]
async fn a_deadline_that_no_schedule_can_hold_is_refused_with_both_numbers() {
    let mut info = endpoint(Region::UsEast, "m");
    let timing = beacon_domain::Timing { cold: Duration::from_secs(180), warm: Duration::from_secs(40) };
    info.timing = Some(timing);
    let bench = Bench::new().endpoint(info, answers_after(WARM));
    let spec =
        |timeout_s: u64| SpecBuilder::new("hold").question_count(8).constraint("timeout", timeout_s * NS);

    let refused = bench.try_submit(&spec(499), Batching::Question).await.unwrap_err();
    let accepted = bench.try_submit(&spec(500), Batching::Question).await;

    assert!(refused.to_string().contains("499s") && refused.to_string().contains("500s"), "{refused}");
    assert!(accepted.is_ok());
}
