//! Recording.

use std::time::Duration;

use beacon_domain::{Batching, EndReason, ErrorCode, ExecutionState, JobState, Outcome, Recorded};

use super::{Scene, Store};
use crate::{SpecBuilder, completed, completed_at_cost, failed, retry};

/// L3: a flush whose commit was not acknowledged may be sent again.
pub async fn a_replayed_recording_changes_nothing<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("replay").question_count(2).verified();
    let job = scene.accept(spec, Batching::Question).await;
    let first = scene.take_one().await;
    let again = retry(&first, scene.now(), scene.now());
    scene.record(again.clone()).await;
    let second = scene.take_one().await;
    let done = completed_at_cost(&second, 5, scene.now());
    let report = scene.record(done.clone()).await;
    assert_eq!(report.batches_done.len(), 1);
    let before = (scene.job(job).await, scene.records(job).await);

    let replayed = scene.store.record(vec![again, done], scene.now()).await.unwrap();

    assert_eq!(replayed.recorded, [Recorded::Recorded; 2]);
    assert!(replayed.batches_done.is_empty() && replayed.jobs_ended.is_empty());
    assert_eq!((scene.job(job).await, scene.records(job).await), before);
}

/// L3, L2: an execution has one result, the one of the lease that is held.
pub async fn a_stale_worker_writes_nothing<S: Store>(scene: Scene<S>) {
    let job = scene.accept(SpecBuilder::new("stale").verified(), Batching::Question).await;
    let stale = scene.take_one().await;
    scene.give_back(stale.key).await;
    let holder = scene.take_one().await;

    let before = scene.recorded(failed(&stale, scene.now())).await;
    scene.record(completed(&holder, scene.now())).await;
    let after = scene.recorded(failed(&stale, scene.now())).await;

    assert_eq!((before, after), (Recorded::Lost, Recorded::Lost));
    assert_eq!(scene.records(job).await[0].answer.as_ref().unwrap().text, "yes");
    assert_eq!(scene.records(job).await[0].attempts.len(), 1);
}

/// C5: throttling does not use up the attempts.
pub async fn failures_and_throttles_are_counted_apart<S: Store>(scene: Scene<S>) {
    scene.accept(SpecBuilder::new("apart").verified(), Batching::Question).await;

    for (counts, expected) in [(false, (0, 1)), (true, (1, 1)), (false, (1, 2))] {
        let lease = scene.take_one().await;
        let mut recording = retry(&lease, scene.now(), scene.now());
        recording.outcome = Outcome::Retry { not_before: scene.now(), counts };
        scene.record(recording).await;
        let next = scene.take_one().await;
        assert_eq!((next.failures, next.throttles), expected);
        scene.give_back(next.key).await;
    }
}

/// L2: attempts are appended, with their errors, and the execution's answer is the accepted one.
pub async fn every_attempt_is_kept<S: Store>(scene: Scene<S>) {
    let job = scene.accept(SpecBuilder::new("kept").verified(), Batching::Question).await;
    let first = scene.take_one().await;
    scene.record(retry(&first, scene.now(), scene.now())).await;
    let second = scene.take_one().await;
    scene.record(completed(&second, scene.now())).await;

    let record = scene.records(job).await.remove(0);

    let numbers: Vec<_> =
        record.attempts.iter().map(|attempt| (attempt.number, attempt.error.is_some())).collect();
    assert_eq!(numbers, [(1, true), (2, false)]);
    assert_eq!(record.receipt.unwrap().body.attempt, 2);
    assert_eq!((record.cell.state, record.cell.attempts), (ExecutionState::Completed, 2));
}

/// O3: at its cap a job stops dispatching; calls in flight may finish; what never ran says why.
pub async fn a_job_at_its_cost_cap_ends_and_says_so<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("cap").question_count(5).constraint("max_cost", 0.0001).verified();
    let job = scene.accept(spec, Batching::Endpoint).await;
    let leases = scene.take(3).await;
    scene.record(completed_at_cost(&leases[0], 60, scene.now())).await;
    assert_eq!(scene.states(job).await.iter().filter(|s| **s == ExecutionState::Queued).count(), 2);

    scene.record(completed_at_cost(&leases[1], 60, scene.now())).await;
    assert!(scene.take(3).await.is_empty(), "nothing is dispatched any more");
    assert_eq!(scene.state(job).await, JobState::Running, "a call is in flight");
    scene.record(retry(&leases[2], scene.now(), scene.now())).await;

    let summary = scene.job(job).await;
    assert_eq!((summary.state, summary.reason), (JobState::CompletedWithFailures, Some(EndReason::Budget)));
    assert_eq!((summary.cost_micros, summary.counts.completed, summary.counts.cancelled), (120, 2, 3));
    for record in &scene.records(job).await[2..] {
        assert_eq!(record.error.as_ref().unwrap().code, ErrorCode::BudgetExhausted);
    }
}

/// S7: an answer that was paid for is kept, marked, and not counted.
pub async fn an_answer_after_a_cancel_is_kept_as_late<S: Store>(scene: Scene<S>) {
    let job = scene.accept(SpecBuilder::new("late").verified(), Batching::Question).await;
    let lease = scene.take_one().await;
    scene.cancel(job).await;

    let first = scene.recorded(completed(&lease, scene.now())).await;
    let replay = scene.recorded(completed(&lease, scene.now())).await;

    assert_eq!((first, replay), (Recorded::Late, Recorded::Late));
    let record = scene.records(job).await.remove(0);
    assert_eq!((record.attempts.len(), record.attempts[0].late), (1, true));
    assert_eq!((record.cell.state, record.answer), (ExecutionState::Cancelled, None));
    assert_eq!(scene.job(job).await.counts.completed, 0);
}

/// S2: the end of a batch opens the next one at once, and its start tells how long nothing ran.
pub async fn the_last_of_a_batch_opens_the_next_and_tells_the_gap<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("gap").questions(&["one", "two"]).verified();
    scene.accept(spec, Batching::Question).await;
    let first = scene.claim(&["us-east/m"], 1).await;
    scene.advance_s(7);

    let report = scene.record(completed(&first.leases[0], scene.now())).await;
    scene.clock.advance(Duration::from_millis(20));
    let second = scene.claim(&["us-east/m"], 1).await;

    let done = &report.batches_done[0];
    assert_eq!((done.number, done.total, done.duration), (1, 2, Duration::from_secs(7)));
    let started = &second.started[0];
    assert_eq!((started.number, started.executions, started.gap), (2, 1, Some(Duration::from_millis(20))));
    assert_eq!(first.started[0].gap, None);
}
