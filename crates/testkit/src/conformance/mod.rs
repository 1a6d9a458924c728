//! What every store holds. `spec` must be a job of two questions, one model `m` and the region us-east.

mod ends;

use std::{sync::Arc, time::Duration};

use beacon_domain::{
    Accepted, Batching, CancelReason, Claimed, Clock, JobState, JobStore, JobView, Recorded, ResumeToken,
    WorkQueue,
};
use beacon_spec::VerifiedSpec;

use crate::{ManualClock, accept, claim, completed, retry};

pub use ends::{
    a_budget_lets_calls_in_flight_finish, a_deadline_ends_what_is_open,
    an_execution_that_kills_its_workers_fails,
};

const ENDPOINT: &str = "us-east/m";

#[expect(clippy::unwrap_used, reason = "a test case")]
async fn take<S: WorkQueue>(store: &S, clock: &ManualClock) -> Claimed {
    store.claim(claim(&[ENDPOINT], 8, clock.now())).await.unwrap()
}

/// Holds from acceptance to the end of the job, question by question; replays change nothing.
///
/// # Panics
/// If the store does not hold it.
#[expect(clippy::unwrap_used, reason = "a test case")]
pub async fn a_job_goes_question_by_question_to_its_end<S: JobStore + WorkQueue + JobView>(
    store: Arc<S>,
    spec: VerifiedSpec,
) {
    let clock = ManualClock::new();
    let acceptance = accept(spec.clone(), Batching::Question, clock.now());
    let job = acceptance.job;

    assert_eq!(store.accept(acceptance).await.unwrap(), Accepted::New(job));
    let again = accept(spec, Batching::Question, clock.now());
    assert_eq!(store.accept(again).await.unwrap(), Accepted::Existing(job, JobState::Queued));
    for number in 1..=2 {
        let got = take(&*store, &clock).await;
        assert_eq!((got.leases.len(), got.started.len(), got.leases[0].batch), (1, 1, number));
        let done = completed(&got.leases[0], clock.now());
        let report = store.record(vec![done.clone()], clock.now()).await.unwrap();
        assert_eq!(report.recorded, [Recorded::Recorded]);
        assert_eq!((report.batches_done.len(), report.jobs_ended.len() as u32), (1, number - 1));
        let replay = store.record(vec![done], clock.now()).await.unwrap();
        assert_eq!((replay.recorded, replay.batches_done.len()), (vec![Recorded::Recorded], 0));
    }
    let summary = store.job(job).await.unwrap().unwrap();
    assert_eq!((summary.state, summary.counts.completed), (JobState::Completed, 2));
    assert_eq!(store.records(job, None, 9).await.unwrap().len(), 2);
    assert_eq!(store.receipt_leaves(job, None, 9).await.unwrap().len(), 2);
    assert_eq!(store.unclosed(9).await.unwrap(), [job]);
    assert_eq!(store.progress(job).await.unwrap().endpoints[0].counts.completed, 2);
}

/// Holds back-off, resume tokens, give-backs, expired leases and late answers after a cancel.
///
/// # Panics
/// If the store does not hold it.
#[expect(clippy::unwrap_used, reason = "a test case")]
pub async fn leases_come_back_and_late_answers_are_kept<S: JobStore + WorkQueue + JobView>(
    store: Arc<S>,
    spec: VerifiedSpec,
) {
    let clock = ManualClock::new();
    let acceptance = accept(spec, Batching::Question, clock.now());
    let job = acceptance.job;
    store.accept(acceptance).await.unwrap();

    let first = take(&*store, &clock).await.leases.remove(0);
    let later = clock.now() + Duration::from_secs(10);
    store.record(vec![retry(&first, later, clock.now())], clock.now()).await.unwrap();
    let waiting = take(&*store, &clock).await;
    assert_eq!((waiting.leases.len(), waiting.next_ready_at), (0, Some(later)));

    clock.advance(Duration::from_secs(10));
    let second = take(&*store, &clock).await.leases.remove(0);
    assert_eq!((second.attempt, second.failures), (2, 1));
    assert_eq!(store.give_back(vec![second.key], clock.now()).await.unwrap(), 1);
    let third = take(&*store, &clock).await.leases.remove(0);
    assert_eq!(third.attempt, 2, "a give-back counts no attempt");
    assert!(!store.checkpoint(second.key, ResumeToken("old".into())).await.unwrap());
    assert!(store.checkpoint(third.key, ResumeToken("url".into())).await.unwrap());

    clock.advance(Duration::from_secs(31));
    assert_eq!(store.reap(9, clock.now()).await.unwrap().leases_returned, 1);
    let fourth = take(&*store, &clock).await.leases.remove(0);
    assert_eq!((fourth.attempt, fourth.resume.is_some()), (2, true));

    let cancelled = store.cancel(job, CancelReason::By("me".into()), clock.now()).await.unwrap();
    assert_eq!((cancelled.waiting, cancelled.in_flight, cancelled.state), (1, 1, JobState::Cancelled));
    let late = store.record(vec![completed(&fourth, clock.now())], clock.now()).await.unwrap();
    assert_eq!(late.recorded, [Recorded::Late]);
    assert!(store.cancel(job, CancelReason::Budget, clock.now()).await.unwrap().already_ended);
}
