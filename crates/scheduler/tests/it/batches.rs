//! The order of questions, and who waits for whom (S2, S3).

use std::{collections::BTreeSet, time::Duration};

use beacon_domain::{Batching, ErrorCode, JobState};
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, WARM, answers_after, endpoint, fail};

fn two_questions() -> SpecBuilder {
    SpecBuilder::new("batches").questions(&["first", "second"]).regions(&["US", "EU"])
}

// S2
#[tokio::test(start_paused = true)]
async fn questions_run_in_sequence() {
    let bench = Bench::of_two_regions();
    let job = bench.submit(&two_questions(), Batching::Question).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    assert_eq!(bench.questions(), ["first", "first", "second", "second"]);
}

// S2
#[tokio::test(start_paused = true)]
async fn a_question_starts_only_when_every_execution_of_the_one_before_it_is_terminal() {
    let bench = Bench::new()
        .endpoint(endpoint(Region::UsEast, "m"), answers_after(WARM))
        .endpoint(endpoint(Region::EuWest, "m"), answers_after(WARM * 7));
    let job = bench.submit(&two_questions(), Batching::Question).await;

    bench.run(job).await;

    let seen = bench.seen();
    let first_ended = seen.iter().filter(|call| call.question == "first").filter_map(|call| call.ended).max();
    let second_began = seen.iter().filter(|call| call.question == "second").map(|call| call.at).min();
    assert_eq!(first_ended, Some(WARM * 7));
    assert!(second_began >= first_ended, "{second_began:?}");
}

// S2
#[tokio::test(start_paused = true)]
async fn the_gap_between_two_questions_is_far_below_a_second() {
    let bench = Bench::of_two_regions();
    let spec = SpecBuilder::new("gaps").question_count(20).regions(&["US", "EU"]);
    let job = bench.submit(&spec, Batching::Question).await;

    bench.run(job).await;

    let batches = bench.ports.view.progress(job, bench.ports.clock.now()).await.unwrap().batches;
    let gap = |pair: &[beacon_domain::BatchView]| {
        pair[1].started_at.unwrap().duration_since(pair[0].ended_at.unwrap()).unsigned_abs()
    };
    let longest = batches.windows(2).map(gap).max().unwrap();
    assert!(longest < Duration::from_millis(50), "{longest:?}");
}

// S1, S2
#[tokio::test(start_paused = true)]
async fn only_one_question_is_in_flight_and_never_more_than_the_endpoints_take() {
    let mut wide = endpoint(Region::UsEast, "m");
    wide.limit = 3;
    let bench = Bench::new()
        .endpoint(wide, answers_after(WARM))
        .endpoint(endpoint(Region::EuWest, "m"), answers_after(WARM));
    let spec = SpecBuilder::new("bound").question_count(3).regions(&["US", "EU"]).runs(5);
    let job = bench.submit(&spec, Batching::Question).await;

    bench.run(job).await;

    let seen = bench.seen();
    assert_eq!(seen.len(), 30);
    for call in &seen {
        let at_once = seen.iter().filter(|other| other.at <= call.at && other.ended.unwrap() > call.at);
        let questions: BTreeSet<_> = at_once.clone().map(|call| call.question.clone()).collect();
        assert_eq!(questions.len(), 1);
        assert!(at_once.count() <= 4);
    }
}

// S2, S3
#[tokio::test(start_paused = true)]
async fn in_endpoint_mode_a_fast_endpoint_does_not_wait_for_a_slow_one() {
    let bench = Bench::new()
        .endpoint(endpoint(Region::UsEast, "m"), answers_after(WARM))
        .endpoint(endpoint(Region::EuWest, "m"), answers_after(WARM * 30));
    let spec = SpecBuilder::new("apart").question_count(4).regions(&["US", "EU"]);
    let job = bench.submit(&spec, Batching::Endpoint).await;

    let ended = bench.run(job).await;

    let fast = bench.seen().into_iter().filter(|call| call.endpoint.as_str() == "us-east/m");
    let fast: Vec<_> = fast.map(|call| (call.question, call.ended.unwrap().as_secs())).collect();
    let expected = (1..=4).map(|n| (format!("What is number {n}?"), n)).collect::<Vec<_>>();
    assert_eq!(fast, expected, "in the order of the questions, one a second");
    assert_eq!(ended.makespan().unwrap().as_secs(), 120);
}

// S3
#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_delays_only_its_own_executions_and_no_other_job() {
    let bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), answers_after(WARM)).endpoint(
        endpoint(Region::EuWest, "m"),
        std::sync::Arc::new(|_| fail(Duration::from_secs(10), ErrorCode::ConnectionLost)),
    );
    let both = SpecBuilder::new("both").question_count(3).regions(&["US", "EU"]);
    let both = bench.submit(&both, Batching::Endpoint).await;
    let other = bench.submit(&SpecBuilder::new("other").question_count(3), Batching::Question).await;
    let scheduler = bench.scheduler("w");
    let stop = beacon_scheduler::Stop::new();

    let (first, ()) = tokio::join!(scheduler.run_job(both, stop), async {});

    let first = first.unwrap();
    assert_eq!(first.state, JobState::CompletedWithFailures);
    assert_eq!((first.counts.completed, first.counts.failed), (3, 3));
    let other = bench.job(other).await;
    assert_eq!(other.state, JobState::Completed);
    assert_eq!(other.ended_at.unwrap().duration_since(other.accepted_at).as_secs(), 6);
}
