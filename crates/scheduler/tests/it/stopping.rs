//! Shutdown and death of a worker: nothing is lost, nothing is paid twice (L3, L9, C2).

use std::{sync::Arc, time::Duration};

use beacon_domain::{Batching, JobState};
use beacon_scheduler::Stop;
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;
use tokio::time::sleep;

use crate::bench::{Bench, Call, Reply, WARM, answers_after, endpoint};

fn four() -> SpecBuilder {
    SpecBuilder::new("stopping").question_count(2).regions(&["US", "EU"])
}

// L3
#[tokio::test(start_paused = true)]
async fn a_drain_lets_calls_in_flight_end_and_starts_none() {
    let bench = Bench::of_two_regions();
    let job = bench.submit(&four(), Batching::Question).await;
    let stop = Stop::new();
    let soon = async {
        bench.calls_made(2).await;
        stop.drain();
    };

    tokio::join!(bench.work(stop.clone()), soon);

    assert_eq!(bench.now(), WARM, "it returned when the calls were back");
    let paused = bench.job(job).await;
    assert_eq!((paused.state, paused.counts.completed, paused.counts.running), (JobState::Running, 2, 0));
    let ended = bench.run(job).await;
    assert_eq!((ended.state, bench.seen().len()), (JobState::Completed, 4));
}

// L3
#[tokio::test(start_paused = true)]
async fn an_abort_gives_leases_back_and_counts_no_attempt() {
    let bench = Bench::of_two_regions();
    let job = bench.submit(&four(), Batching::Question).await;
    let stop = Stop::new();
    let soon = async {
        bench.calls_made(2).await;
        stop.abort();
    };

    tokio::join!(bench.work(stop.clone()), soon);

    assert!(bench.now() < WARM, "nobody waited for the calls");
    let paused = bench.job(job).await;
    assert_eq!((paused.counts.running, paused.counts.queued), (0, 2));
    let ended = bench.run(job).await;
    assert_eq!(ended.state, JobState::Completed);
    for record in bench.records(job).await {
        assert_eq!((record.cell.attempts, record.attempts.len()), (1, 1));
    }
}

/// An endpoint whose calls are pending after a second and answer a minute later.
fn pending() -> Bench {
    let script = |_: &Call| Reply::Pending(WARM, Duration::from_secs(60));
    Bench::new().endpoint(endpoint(Region::UsEast, "m"), Arc::new(script))
}

// C2, L9
#[tokio::test(start_paused = true)]
async fn the_worker_after_a_dead_one_re_attaches_to_its_call() {
    let bench = pending();
    let job = bench.submit(&SpecBuilder::new("dead").question_count(2), Batching::Question).await;
    // Dropped in the middle of the call, as by a kill.
    tokio::select! {
        () = bench.work(Stop::new()) => {}
        () = sleep(Duration::from_secs(30)) => {}
    }

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    let seen = bench.seen();
    let resumed: Vec<_> = seen.iter().map(|call| (call.attempt.execution.n, call.resume.is_some())).collect();
    assert_eq!(resumed, [(0, false), (0, true), (1, false)]);
    assert_eq!(seen[0].attempt, seen[1].attempt, "it is the same attempt");
    let record = bench.records(job).await.remove(0);
    assert_eq!((record.attempts.len(), record.attempts[0].resumed), (1, true));
}

// C2
#[tokio::test(start_paused = true)]
async fn an_aborted_call_with_a_known_id_is_re_attached_later() {
    let bench = pending();
    let job = bench.submit(&SpecBuilder::new("abort"), Batching::Question).await;
    let stop = Stop::new();
    let later = async {
        sleep(Duration::from_secs(30)).await;
        stop.abort();
    };

    tokio::join!(bench.work(stop.clone()), later);
    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    assert!(bench.seen()[1].resume.is_some());
}

// C2, L3: a service that stops leaves what can be found again, and waits for the rest.
#[tokio::test(start_paused = true)]
async fn a_drain_that_detaches_waits_only_for_calls_that_cannot_be_found_again() {
    let mut bench = pending().endpoint(endpoint(Region::EuWest, "m"), answers_after(WARM * 20));
    bench.options.detach_on_drain = true;
    let job = bench.submit(&SpecBuilder::new("leave").regions(&["US", "EU"]), Batching::Question).await;
    let stop = Stop::new();
    let later = async {
        sleep(WARM * 3).await;
        stop.drain();
    };

    tokio::join!(bench.work(stop.clone()), later);

    assert_eq!(bench.now(), WARM * 20, "it returned with the call that has no result URL");
    let paused = bench.job(job).await;
    assert_eq!((paused.counts.completed, paused.counts.queued), (1, 1));
    let ended = bench.run(job).await;
    assert_eq!(ended.state, JobState::Completed);
    assert!(bench.seen()[2].resume.is_some(), "the next worker re-attached");
}

// L3
#[tokio::test(start_paused = true)]
async fn a_call_longer_than_its_lease_keeps_it_by_heartbeats() {
    let bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), answers_after(Duration::from_secs(600)));
    let job = bench.submit(&SpecBuilder::new("long"), Batching::Question).await;
    let stop = Stop::new();
    let main = async {
        let ended = bench.run(job).await;
        stop.drain();
        ended
    };

    let (ended, ()) = tokio::join!(main, bench.work(stop.clone()));

    assert_eq!(ended.state, JobState::Completed);
    assert_eq!(bench.seen().len(), 1, "nobody else called");
}

// L3, L7
#[tokio::test(start_paused = true)]
async fn a_worker_that_died_before_any_answer_costs_an_attempt_and_nothing_more() {
    let bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), answers_after(WARM * 10));
    let job = bench.submit(&SpecBuilder::new("lost"), Batching::Question).await;
    tokio::select! {
        () = bench.work(Stop::new()) => {}
        () = sleep(WARM) => {}
    }

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    let record = bench.records(job).await.remove(0);
    assert_eq!(
        (record.cell.attempts, record.attempts.len()),
        (2, 1),
        "the lost attempt has no record of its own"
    );
    let began = bench.seen()[1].at;
    assert!(
        began >= Duration::from_secs(30) && began < Duration::from_secs(33),
        "after its lease: {began:?}"
    );
}
