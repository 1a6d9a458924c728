//! How jobs end early, and how an endpoint's limit holds.

use std::{sync::Arc, time::Duration};

use beacon_domain::{
    Batching, CancelReason, Clock, ExecutionState, JobState, JobStore, JobView, StoreError, WorkQueue,
};
use beacon_spec::VerifiedSpec;

use super::{ENDPOINT, take};
use crate::{ManualClock, accept, claim, completed};

/// Holds that a deadline ends everything that is open.
///
/// # Panics
/// If the store does not hold it.
#[expect(clippy::unwrap_used, reason = "a test case")]
pub async fn a_deadline_ends_what_is_open<S: JobStore + WorkQueue + JobView>(
    store: Arc<S>,
    spec: VerifiedSpec,
) {
    let clock = ManualClock::new();
    store.accept(accept(spec, Batching::Question, clock.now())).await.unwrap();
    take(&*store, &clock).await;

    clock.advance(Duration::from_secs(3600));
    let reaped = store.reap(9, clock.now()).await.unwrap();

    assert_eq!((reaped.timed_out, reaped.batches_done.len()), (2, 2));
    assert_eq!(reaped.jobs_ended[0].state, JobState::TimedOut);
}

/// Holds that a budget's end lets calls in flight finish, within the endpoint's limit.
///
/// # Panics
/// If the store does not hold it.
#[expect(clippy::unwrap_used, reason = "a test case")]
pub async fn a_budget_lets_calls_in_flight_finish<S: JobStore + WorkQueue + JobView>(
    store: Arc<S>,
    spec: VerifiedSpec,
) {
    let clock = ManualClock::new();
    let acceptance = accept(spec, Batching::Endpoint, clock.now());
    let job = acceptance.job;
    store.accept(acceptance).await.unwrap();
    let got = store.claim(claim(&[ENDPOINT], 1, clock.now())).await.unwrap();
    assert_eq!(got.leases.len(), 1);
    assert!(
        store.claim(claim(&[ENDPOINT], 1, clock.now())).await.unwrap().leases.is_empty(),
        "the limit is 1"
    );

    let cancelled = store.cancel(job, CancelReason::Budget, clock.now()).await.unwrap();
    let report = store.record(vec![completed(&got.leases[0], clock.now())], clock.now()).await.unwrap();

    assert_eq!((cancelled.waiting, cancelled.state), (1, JobState::Running));
    assert_eq!(report.jobs_ended[0].state, JobState::CompletedWithFailures);
}

/// Holds that an execution whose leases keep expiring fails, and that a used nonce or other bytes are refused.
///
/// # Panics
/// If the store does not hold it.
#[expect(clippy::unwrap_used, reason = "a test case")]
pub async fn an_execution_that_kills_its_workers_fails<S: JobStore + WorkQueue + JobView>(
    store: Arc<S>,
    spec: VerifiedSpec,
) {
    let clock = ManualClock::new();
    let acceptance = accept(spec.clone(), Batching::Question, clock.now());
    let job = acceptance.job;
    store.accept(acceptance).await.unwrap();

    for _ in 0..5 {
        assert_eq!(take(&*store, &clock).await.leases.len(), 1);
        clock.advance(Duration::from_secs(31));
        store.reap(9, clock.now()).await.unwrap();
    }

    assert_eq!(store.matrix(job).await.unwrap().cells[0].state, ExecutionState::Failed);
    let mut again = accept(spec, Batching::Question, clock.now());
    again.nonce_must_be_new = true;
    again.job = beacon_domain::JobId::from_bytes([7; 16]);
    assert!(matches!(store.accept(again).await, Err(StoreError::Replayed)));
}
