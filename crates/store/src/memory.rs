//! The store in memory, for tests and dry runs: the same engine over a private database that is never on disk.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    Acceptance, Accepted, CancelReason, Cancelled, Claim, Claimed, ExecutionRecord, JobFilter, JobId,
    JobStore, JobSummary, JobView, LeaseKey, Matrix, Page, Progress, Reaped, ReceiptLeaf, RecordReport,
    Recording, Renewed, ResumeToken, StoreError, Wakeups, WorkQueue,
};
use beacon_spec::{Close, Timestamp};

use crate::SqliteStore;

/// Jobs that end with this value.
#[derive(Debug)]
pub struct MemoryStore(SqliteStore);

impl MemoryStore {
    /// An empty store.
    ///
    /// # Panics
    /// If the process cannot start two threads.
    #[must_use]
    pub fn new() -> Self {
        Self(
            SqliteStore::in_memory()
                .expect("a process that starts can start two threads and hold an empty store"),
        )
    }

    /// Hints that looking again may pay.
    #[must_use]
    pub fn wakeups(&self) -> Arc<Wakeups> {
        self.0.wakeups()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, StoreError> {
        self.0.accept(acceptance).await
    }

    async fn cancel(
        &self,
        job: JobId,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<Cancelled, StoreError> {
        self.0.cancel(job, reason, now).await
    }

    async fn unclosed(&self, n: u32) -> Result<Vec<JobId>, StoreError> {
        self.0.unclosed(n).await
    }

    async fn receipt_leaves(
        &self,
        job: JobId,
        after: Option<u32>,
        n: u32,
    ) -> Result<Vec<ReceiptLeaf>, StoreError> {
        self.0.receipt_leaves(job, after, n).await
    }

    async fn close(&self, job: JobId, close: Close) -> Result<(), StoreError> {
        self.0.close(job, close).await
    }
}

#[async_trait]
impl WorkQueue for MemoryStore {
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.0.claim(claim).await
    }

    async fn renew(
        &self,
        keys: Vec<LeaseKey>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError> {
        self.0.renew(keys, lease, now).await
    }

    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError> {
        self.0.checkpoint(lease, token).await
    }

    async fn record(&self, recordings: Vec<Recording>, now: Timestamp) -> Result<RecordReport, StoreError> {
        self.0.record(recordings, now).await
    }

    async fn give_back(&self, leases: Vec<LeaseKey>, not_before: Timestamp) -> Result<u32, StoreError> {
        self.0.give_back(leases, not_before).await
    }

    async fn reap(&self, n: u32, now: Timestamp) -> Result<Reaped, StoreError> {
        self.0.reap(n, now).await
    }
}

#[async_trait]
impl JobView for MemoryStore {
    async fn job(&self, job: JobId) -> Result<Option<JobSummary>, StoreError> {
        self.0.job(job).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobSummary>, StoreError> {
        self.0.jobs(filter).await
    }

    async fn matrix(&self, job: JobId) -> Result<Matrix, StoreError> {
        self.0.matrix(job).await
    }

    async fn records(
        &self,
        job: JobId,
        after: Option<u32>,
        n: u32,
    ) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.0.records(job, after, n).await
    }

    async fn progress(&self, job: JobId) -> Result<Progress, StoreError> {
        self.0.progress(job).await
    }
}
