//! The store in memory, for embedding, for tests and for runs on virtual time: plain values behind one lock, no
//! threads, no timers.

mod abandoned;
mod accept;
mod access;
mod board;
mod claim;
mod delivery;
mod desk;
mod end;
mod job;
mod lease;
mod operate;
mod queue;
mod quota;
mod record;
mod state;
mod view;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{
    Acceptance, Accepted, BatchView, Board, CancelReason, Cancelled, CellFilter, CellView, Claim, Claimed,
    EndpointLatency, EndpointStatus, ExecutionLine, ExecutionRecord, Failure, JobFilter, JobId, JobStore,
    JobSummary, JobView, LeaseKey, Matrix, NonceUse, Page, Parting, Progress, Reaped, ReceiptLeaf,
    RecordReport, Recording, Renewed, ResumeToken, StoreError, Wakeups, WorkQueue,
};
use beacon_spec::{Close, Timestamp};

use state::State;

/// Jobs that end with this value.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    wakeups: Arc<Wakeups>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hints that looking again may pay.
    #[must_use]
    pub fn wakeups(&self) -> Arc<Wakeups> {
        Arc::clone(&self.wakeups)
    }

    fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One change under the lock; who waits for it is woken after it.
    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.read();
        let changed = change(&mut state);
        let wakes = std::mem::take(&mut state.wakes);
        drop(state);
        wakes.into_iter().for_each(|topic| self.wakeups.wake(topic));
        changed
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, StoreError> {
        self.write(|state| state.accept(acceptance))
    }

    async fn nonce_use(&self, public_key: [u8; 32], nonce: String) -> Result<Option<NonceUse>, StoreError> {
        let state = self.read();
        let digest = |job| state.by_id.get(job).map(|place| state.jobs[*place].spec.digest());
        Ok(state.nonces.get(&(public_key, nonce)).map(|job| NonceUse { job: *job, digest: digest(job) }))
    }

    async fn cancel(
        &self,
        job: JobId,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<Cancelled, StoreError> {
        self.write(|state| state.cancel(job, &reason, now))
    }

    async fn unclosed(&self, n: u32) -> Result<Vec<JobId>, StoreError> {
        Ok(self.read().unclosed(n))
    }

    async fn receipt_leaves(
        &self,
        job: JobId,
        after: Option<u32>,
        n: u32,
    ) -> Result<Vec<ReceiptLeaf>, StoreError> {
        Ok(self.read().leaves(job, after, n))
    }

    async fn close(&self, job: JobId, close: Close) -> Result<(), StoreError> {
        self.write(|state| state.close(job, close))
    }
}

#[async_trait]
impl WorkQueue for MemoryStore {
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        Ok(self.write(|state| state.claim(&claim)))
    }

    async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError> {
        Ok(self.write(|state| state.renew(&leases, lease, now)))
    }

    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError> {
        Ok(self.write(|state| state.checkpoint(lease, token)))
    }

    async fn record(&self, recordings: Vec<Recording>, now: Timestamp) -> Result<RecordReport, StoreError> {
        Ok(self.write(|state| state.record(recordings, now)))
    }

    async fn give_back(
        &self,
        leases: Vec<LeaseKey>,
        parting: Parting,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        Ok(self.write(|state| state.give_back(&leases, parting, now)))
    }

    async fn reap(&self, n: u32, now: Timestamp) -> Result<Reaped, StoreError> {
        Ok(self.write(|state| state.reap(n, now)))
    }
}

#[async_trait]
impl JobView for MemoryStore {
    async fn job(&self, job: JobId) -> Result<Option<JobSummary>, StoreError> {
        Ok(self.read().job(job))
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobSummary>, StoreError> {
        Ok(self.read().page(&filter))
    }

    async fn matrix(&self, job: JobId) -> Result<Matrix, StoreError> {
        self.read().matrix(job)
    }

    async fn records(
        &self,
        job: JobId,
        after: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ExecutionRecord>, StoreError> {
        Ok(self.read().records(job, after, limit))
    }

    async fn progress(&self, job: JobId, now: Timestamp) -> Result<Progress, StoreError> {
        self.read().progress(job, now)
    }

    async fn failures(&self, job: JobId) -> Result<Vec<Failure>, StoreError> {
        self.read().failures(job)
    }
}

#[async_trait]
impl Board for MemoryStore {
    async fn cells(&self, job: JobId, filter: CellFilter) -> Result<Page<CellView>, StoreError> {
        self.read().cells(job, &filter)
    }

    async fn batches(&self, job: JobId) -> Result<Vec<BatchView>, StoreError> {
        self.read().batches(job)
    }

    async fn recent(&self, cursor: Option<String>, limit: u32) -> Result<Page<ExecutionLine>, StoreError> {
        Ok(self.read().recent(cursor.as_deref(), limit))
    }

    async fn endpoints(&self, now: Timestamp) -> Result<Vec<EndpointStatus>, StoreError> {
        Ok(self.read().endpoint_statuses(now))
    }

    async fn latencies(&self) -> Result<Vec<EndpointLatency>, StoreError> {
        Ok(self.read().latencies())
    }
}
