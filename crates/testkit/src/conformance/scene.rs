//! A store with a clock beside it, and the verbs of the cases.

use std::{sync::Arc, time::Duration};

use beacon_domain::{
    Acceptance, Accepted, Batching, CancelReason, Cancelled, CellView, Claimed, Clock, ExecutionRecord,
    ExecutionState, JobId, JobState, JobStore, JobSummary, JobView, Lease, LeaseKey, Parting, RecordReport,
    Recorded, Recording, WorkQueue,
};
use beacon_spec::{Timestamp, VerifiedSpec};

use crate::{ManualClock, accept, claim};

/// The three ports of one store.
pub trait Store: JobStore + WorkQueue + JobView {}

impl<S: JobStore + WorkQueue + JobView> Store for S {}

/// A store under test.
#[derive(Debug)]
pub struct Scene<S> {
    /// The store.
    pub store: Arc<S>,
    /// Its time.
    pub clock: ManualClock,
}

impl<S> Scene<S> {
    /// A store and a clock that stands still.
    pub fn new(store: S) -> Self {
        Self { store: Arc::new(store), clock: ManualClock::new() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn advance_s(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl<S: Store> Scene<S> {
    pub(super) fn acceptance(&self, spec: VerifiedSpec, batching: Batching) -> Acceptance {
        accept(spec, batching, self.now())
    }

    pub(super) async fn accept(&self, spec: VerifiedSpec, batching: Batching) -> JobId {
        match self.store.accept(self.acceptance(spec, batching)).await.unwrap() {
            Accepted::New(job) => job,
            Accepted::Existing(job, _) => panic!("job {job} is not new"),
        }
    }

    pub(super) async fn claim(&self, endpoints: &[&str], limit: u32) -> Claimed {
        self.store.claim(claim(endpoints, limit, self.now())).await.unwrap()
    }

    /// The leases of a claim on us-east/m.
    pub(super) async fn take(&self, limit: u32) -> Vec<Lease> {
        self.claim(&["us-east/m"], limit).await.leases
    }

    /// The one lease that a claim on us-east/m gives.
    pub(super) async fn take_one(&self) -> Lease {
        let mut leases = self.take(1).await;
        assert_eq!(leases.len(), 1, "one execution is ready");
        leases.remove(0)
    }

    pub(super) async fn record(&self, recording: Recording) -> RecordReport {
        self.store.record(vec![recording], self.now()).await.unwrap()
    }

    pub(super) async fn recorded(&self, recording: Recording) -> Recorded {
        self.record(recording).await.recorded[0]
    }

    pub(super) async fn cancel(&self, job: JobId) -> Cancelled {
        let by = CancelReason::By("tester".to_owned());
        self.store.cancel(job, by, self.now()).await.unwrap()
    }

    pub(super) async fn give_back(&self, key: LeaseKey) {
        assert_eq!(self.store.give_back(vec![key], Parting::NoCall, self.now()).await.unwrap(), 1);
    }

    pub(super) async fn reap(&self) -> beacon_domain::Reaped {
        self.store.reap(1000, self.now()).await.unwrap()
    }

    pub(super) async fn job(&self, job: JobId) -> JobSummary {
        self.store.job(job).await.unwrap().unwrap()
    }

    pub(super) async fn state(&self, job: JobId) -> JobState {
        self.job(job).await.state
    }

    pub(super) async fn cells(&self, job: JobId) -> Vec<CellView> {
        self.store.matrix(job).await.unwrap().cells
    }

    pub(super) async fn states(&self, job: JobId) -> Vec<ExecutionState> {
        self.cells(job).await.into_iter().map(|cell| cell.state).collect()
    }

    pub(super) async fn records(&self, job: JobId) -> Vec<ExecutionRecord> {
        self.store.records(job, None, 1000).await.unwrap()
    }
}
