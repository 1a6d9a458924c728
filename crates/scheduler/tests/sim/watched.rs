//! The store as it is: every transaction is a step that is written into the ledger and checked at once.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{
    Acceptance, Accepted, CancelReason, Cancelled, Claim, Claimed, ExecutionRecord, Failure, JobFilter,
    JobId, JobStore, JobSummary, JobView, LeaseKey, Matrix, NonceUse, Page, Parting, Progress, Reaped,
    ReceiptLeaf, RecordReport, Recording, Renewed, ResumeToken, StoreError, WorkQueue,
};
use beacon_spec::{Close, Timestamp};
use beacon_testkit::conformance::Store;

use crate::{
    history::Who,
    ledger::{Ledger, NewJob},
};

/// A ledger that all look at.
pub(crate) type SharedLedger = Arc<Mutex<Ledger>>;

/// Opens the ledger.
pub(crate) fn open(ledger: &SharedLedger) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store, watched for one caller.
pub(crate) struct Watched<S> {
    pub(crate) store: Arc<S>,
    pub(crate) ledger: SharedLedger,
    pub(crate) who: Who,
}

impl<S: Store> Watched<S> {
    /// Looks at a job again.
    async fn look(&self, job: JobId) -> Result<(), StoreError> {
        let summary = self.store.job(job).await?.ok_or(StoreError::UnknownJob(job))?;
        let matrix = self.store.matrix(job).await?;
        open(&self.ledger).rows(&summary, &matrix.cells);
        Ok(())
    }

    async fn look_at(&self, jobs: impl IntoIterator<Item = JobId>) -> Result<(), StoreError> {
        let mut jobs: Vec<_> = jobs.into_iter().collect();
        jobs.sort_unstable();
        jobs.dedup();
        for job in jobs {
            self.look(job).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl<S: Store> JobStore for Watched<S> {
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, StoreError> {
        let job = NewJob::of(&acceptance);
        let accepted = self.store.accept(acceptance).await?;
        let id = job.id();
        open(&self.ledger).accepted(job.was_new(matches!(accepted, Accepted::New(_))));
        self.look(id).await?;
        Ok(accepted)
    }

    async fn nonce_use(&self, public_key: [u8; 32], nonce: String) -> Result<Option<NonceUse>, StoreError> {
        self.store.nonce_use(public_key, nonce).await
    }

    async fn cancel(
        &self,
        job: JobId,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<Cancelled, StoreError> {
        let cancelled = self.store.cancel(job, reason, now).await?;
        open(&self.ledger).cancelled(self.who, job);
        self.look(job).await?;
        Ok(cancelled)
    }

    async fn unclosed(&self, n: u32) -> Result<Vec<JobId>, StoreError> {
        self.store.unclosed(n).await
    }

    async fn receipt_leaves(
        &self,
        job: JobId,
        after: Option<u32>,
        n: u32,
    ) -> Result<Vec<ReceiptLeaf>, StoreError> {
        self.store.receipt_leaves(job, after, n).await
    }

    async fn close(&self, job: JobId, close: Close) -> Result<(), StoreError> {
        self.store.close(job, close.clone()).await?;
        open(&self.ledger).closed(self.who, job, &close);
        Ok(())
    }
}

#[async_trait]
impl<S: Store> WorkQueue for Watched<S> {
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        let mut claimed = self.store.claim(claim.clone()).await?;
        for lease in &mut claimed.leases {
            // The trace id reaches the endpoint, which so knows the lease of a call.
            lease.trace_id = lease.key.token.to_string().into();
        }
        open(&self.ledger).claimed(self.who, &claim, &claimed);
        self.look_at(claimed.leases.iter().map(|lease| lease.key.execution.job)).await?;
        Ok(claimed)
    }

    async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError> {
        let renewed = self.store.renew(leases.clone(), lease, now).await?;
        open(&self.ledger).renewed(self.who, &leases, &renewed);
        Ok(renewed)
    }

    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError> {
        let taken = self.store.checkpoint(lease, token.clone()).await?;
        open(&self.ledger).checkpointed(self.who, lease, &token, taken);
        Ok(taken)
    }

    async fn record(&self, recordings: Vec<Recording>, now: Timestamp) -> Result<RecordReport, StoreError> {
        let report = self.store.record(recordings.clone(), now).await?;
        open(&self.ledger).recorded(self.who, &recordings, &report);
        self.look_at(recordings.iter().map(|recording| recording.lease.execution.job)).await?;
        Ok(report)
    }

    async fn give_back(
        &self,
        leases: Vec<LeaseKey>,
        parting: Parting,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let given = self.store.give_back(leases.clone(), parting, now).await?;
        open(&self.ledger).gave_back(self.who, &leases, given);
        self.look_at(leases.iter().map(|lease| lease.execution.job)).await?;
        Ok(given)
    }

    async fn reap(&self, n: u32, now: Timestamp) -> Result<Reaped, StoreError> {
        let reaped = self.store.reap(n, now).await?;
        let changed = open(&self.ledger).reaped(self.who, now, &reaped);
        self.look_at(changed).await?;
        Ok(reaped)
    }
}

#[async_trait]
impl<S: Store> JobView for Watched<S> {
    async fn job(&self, job: JobId) -> Result<Option<JobSummary>, StoreError> {
        self.store.job(job).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobSummary>, StoreError> {
        self.store.jobs(filter).await
    }

    async fn matrix(&self, job: JobId) -> Result<Matrix, StoreError> {
        self.store.matrix(job).await
    }

    async fn records(
        &self,
        job: JobId,
        after: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.store.records(job, after, limit).await
    }

    async fn progress(&self, job: JobId, now: Timestamp) -> Result<Progress, StoreError> {
        self.store.progress(job, now).await
    }

    async fn failures(&self, job: JobId) -> Result<Vec<Failure>, StoreError> {
        self.store.failures(job).await
    }
}
