//! A process's way to the store, on which calls are late, doubled, unacknowledged or fail.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    Acceptance, Accepted, CancelReason, Cancelled, Claim, Claimed, ExecutionRecord, Failure, JobFilter,
    JobId, JobStore, JobSummary, JobView, LeaseKey, Matrix, NonceUse, Page, Parting, Progress, Reaped,
    ReceiptLeaf, RecordReport, Recording, Renewed, ResumeToken, StoreError, WorkQueue,
};
use beacon_spec::{Close, Timestamp};
use tokio::time::{Instant, sleep};

use super::{Fault, Life, Outage};
use crate::conformance::Store;

/// How much later a late repetition comes at most.
const LATEST_REPEAT: Duration = Duration::from_secs(10);

/// A store as one process reaches it. Every call passes a point of the process's life before it and after it.
#[derive(Debug)]
pub struct FaultyStore<S> {
    store: Arc<S>,
    life: Arc<Life>,
    /// Of the store, for all processes.
    outage: Arc<Outage>,
    /// Of this process's connection.
    partition: Outage,
}

impl<S: Store + 'static> FaultyStore<S> {
    /// `outage` is shared by all processes of the store.
    pub fn new(store: Arc<S>, life: Arc<Life>, outage: Arc<Outage>) -> Self {
        Self { store, life, outage, partition: Outage::default() }
    }

    /// A call that is made once.
    async fn once<T, A>(&self, call: impl FnOnce(Arc<S>) -> A) -> Result<T, StoreError>
    where
        A: Future<Output = Result<T, StoreError>>,
    {
        self.life.point().await;
        let failing = self.fails();
        if failing && self.life.faults().dice.chance(0.5) {
            self.life.faults().count(Fault::FailedBefore);
            return Err(Outage::error());
        }
        let done = call(Arc::clone(&self.store)).await;
        self.life.point().await;
        self.acknowledge(failing, done)
    }

    /// A call that the way there may repeat, at once or later. The first answer counts.
    async fn repeatable<T, A>(
        &self,
        call: impl Fn(Arc<S>) -> A + Send + Sync + 'static,
    ) -> Result<T, StoreError>
    where
        A: Future<Output = Result<T, StoreError>> + Send + 'static,
        T: Send + 'static,
    {
        let faults = self.life.faults();
        let repeats = faults.may_strike() && faults.dice.chance(faults.odds.duplicate);
        let done = self.once(&call).await;
        if repeats && faults.dice.chance(0.5) {
            faults.count(Fault::Duplicate);
            // Whoever asked has its answer from the first; the store must not mind the second.
            drop(call(Arc::clone(&self.store)).await);
        } else if repeats {
            faults.count(Fault::LateDuplicate);
            let (later, store) = (faults.dice.up_to(LATEST_REPEAT), Arc::clone(&self.store));
            tokio::spawn(async move {
                sleep(later).await;
                drop(call(store).await);
            });
        }
        done
    }

    fn fails(&self) -> bool {
        let faults = self.life.faults();
        let lasting = || faults.dice.up_to(faults.odds.longest_outage);
        if faults.strikes(Fault::Outage, faults.odds.outage / 2.0) {
            self.outage.begin(lasting());
        }
        if faults.strikes(Fault::Partition, faults.odds.outage / 2.0) {
            self.partition.begin(lasting());
        }
        let until = self.outage.until().max(self.partition.until());
        until.into_iter().for_each(|until| self.life.trouble(until));
        until.is_some()
    }

    fn acknowledge<T>(&self, failing: bool, done: Result<T, StoreError>) -> Result<T, StoreError> {
        let faults = self.life.faults();
        let lost = faults.strikes(Fault::LostAcknowledgement, faults.odds.lost_acknowledgement);
        if failing {
            faults.count(Fault::FailedAfter);
        }
        if failing || lost {
            self.life.trouble(Instant::now() + Duration::from_millis(1));
            return Err(Outage::error());
        }
        done
    }
}

#[async_trait]
impl<S: Store + 'static> JobStore for FaultyStore<S> {
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, StoreError> {
        self.once(|store| async move { store.accept(acceptance).await }).await
    }

    async fn nonce_use(&self, public_key: [u8; 32], nonce: String) -> Result<Option<NonceUse>, StoreError> {
        self.once(|store| async move { store.nonce_use(public_key, nonce).await }).await
    }

    async fn cancel(
        &self,
        job: JobId,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<Cancelled, StoreError> {
        self.repeatable(move |store| {
            let reason = reason.clone();
            async move { store.cancel(job, reason, now).await }
        })
        .await
    }

    async fn unclosed(&self, n: u32) -> Result<Vec<JobId>, StoreError> {
        self.once(|store| async move { store.unclosed(n).await }).await
    }

    async fn receipt_leaves(
        &self,
        job: JobId,
        after: Option<u32>,
        n: u32,
    ) -> Result<Vec<ReceiptLeaf>, StoreError> {
        self.once(|store| async move { store.receipt_leaves(job, after, n).await }).await
    }

    async fn close(&self, job: JobId, close: Close) -> Result<(), StoreError> {
        self.repeatable(move |store| {
            let close = close.clone();
            async move { store.close(job, close).await }
        })
        .await
    }
}

#[async_trait]
impl<S: Store + 'static> WorkQueue for FaultyStore<S> {
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.once(|store| async move { store.claim(claim).await }).await
    }

    async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError> {
        self.repeatable(move |store| {
            let leases = leases.clone();
            async move { store.renew(leases, lease, now).await }
        })
        .await
    }

    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError> {
        self.repeatable(move |store| {
            let token = token.clone();
            async move { store.checkpoint(lease, token).await }
        })
        .await
    }

    async fn record(&self, recordings: Vec<Recording>, now: Timestamp) -> Result<RecordReport, StoreError> {
        self.repeatable(move |store| {
            let recordings = recordings.clone();
            async move { store.record(recordings, now).await }
        })
        .await
    }

    async fn give_back(
        &self,
        leases: Vec<LeaseKey>,
        parting: Parting,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        self.repeatable(move |store| {
            let leases = leases.clone();
            async move { store.give_back(leases, parting, now).await }
        })
        .await
    }

    async fn reap(&self, n: u32, now: Timestamp) -> Result<Reaped, StoreError> {
        self.repeatable(move |store| async move { store.reap(n, now).await }).await
    }
}

#[async_trait]
impl<S: Store + 'static> JobView for FaultyStore<S> {
    async fn job(&self, job: JobId) -> Result<Option<JobSummary>, StoreError> {
        self.once(|store| async move { store.job(job).await }).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobSummary>, StoreError> {
        self.once(|store| async move { store.jobs(filter).await }).await
    }

    async fn matrix(&self, job: JobId) -> Result<Matrix, StoreError> {
        self.once(|store| async move { store.matrix(job).await }).await
    }

    async fn records(
        &self,
        job: JobId,
        after: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.once(|store| async move { store.records(job, after, limit).await }).await
    }

    async fn progress(&self, job: JobId, now: Timestamp) -> Result<Progress, StoreError> {
        self.once(|store| async move { store.progress(job, now).await }).await
    }

    async fn failures(&self, job: JobId) -> Result<Vec<Failure>, StoreError> {
        self.once(|store| async move { store.failures(job).await }).await
    }
}
