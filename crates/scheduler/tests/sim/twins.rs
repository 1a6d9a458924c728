//! Stores with a flaw on purpose. The same checker must find them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{
    Acceptance, Accepted, CancelReason, Cancelled, Claim, Claimed, EndpointId, ExecutionId, ExecutionRecord,
    Failure, JobFilter, JobId, JobSteering, JobStore, JobSummary, JobView, LeaseKey, Matrix, NonceUse, Page,
    Parting, Progress, Reaped, ReceiptLeaf, RecordReport, Recording, Renewed, ResumeToken, Steered,
    StoreError, WorkQueue,
};
use beacon_spec::{Close, Timestamp};
use beacon_testkit::conformance::Store;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A record under any token is taken, as without the fence.
    NoFence,
    /// A call that nobody waits for counts no more.
    NoLinger,
    /// What runs is counted a moment before the claim, and not within it.
    CountedApart,
}

/// A store with a flaw.
pub(crate) struct Twin<S> {
    store: Arc<S>,
    flaw: Flaw,
    tokens: Mutex<BTreeMap<ExecutionId, u64>>,
    jobs: Mutex<BTreeSet<JobId>>,
}

impl<S: Store> Twin<S> {
    pub(crate) fn new(store: S, flaw: Flaw) -> Self {
        Self { store: Arc::new(store), flaw, tokens: Mutex::default(), jobs: Mutex::default() }
    }

    /// Asks for what was free a moment ago, with no limit in the claim itself.
    async fn counted_apart(&self, mut claim: Claim) -> Result<Claim, StoreError> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut running: BTreeMap<EndpointId, u32> = BTreeMap::new();
        for job in jobs {
            for endpoint in self.store.progress(job, claim.now).await?.endpoints {
                running.insert(endpoint.endpoint, endpoint.in_flight);
            }
        }
        for room in &mut claim.rooms {
            let running = running.get(&room.endpoint).copied().unwrap_or(0);
            room.free = room.free.min(room.limit.saturating_sub(running));
            room.limit = u32::MAX;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(claim)
    }

    /// The token that happens to be the newest.
    fn unfenced(&self, key: LeaseKey) -> LeaseKey {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(&key.execution).copied().unwrap_or(key.token);
        LeaseKey { token, ..key }
    }
}

fn without_linger(mut claim: Claim) -> Claim {
    claim.rooms.iter_mut().for_each(|room| room.linger = Duration::ZERO);
    claim.longest_call = Duration::ZERO;
    claim
}

#[async_trait]
impl<S: Store> WorkQueue for Twin<S> {
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        let claim = match self.flaw {
            Flaw::NoFence => claim,
            Flaw::NoLinger => without_linger(claim),
            Flaw::CountedApart => self.counted_apart(claim).await?,
        };
        let claimed = self.store.claim(claim).await?;
        let keys = claimed.leases.iter().map(|lease| (lease.key.execution, lease.key.token));
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
        Ok(claimed)
    }

    async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError> {
        self.store.renew(leases, lease, now).await
    }

    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError> {
        self.store.checkpoint(lease, token).await
    }

    async fn record(
        &self,
        mut recordings: Vec<Recording>,
        now: Timestamp,
    ) -> Result<RecordReport, StoreError> {
        if self.flaw == Flaw::NoFence {
            for recording in &mut recordings {
                recording.lease = self.unfenced(recording.lease);
            }
        }
        self.store.record(recordings, now).await
    }

    async fn give_back(
        &self,
        leases: Vec<LeaseKey>,
        parting: Parting,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        self.store.give_back(leases, parting, now).await
    }

    async fn reap(&self, n: u32, now: Timestamp) -> Result<Reaped, StoreError> {
        self.store.reap(n, now).await
    }
}

#[async_trait]
impl<S: Store + JobSteering> JobSteering for Twin<S> {
    async fn pause(&self, job: JobId, by: String, now: Timestamp) -> Result<Steered, StoreError> {
        self.store.pause(job, by, now).await
    }

    async fn resume(&self, job: JobId, now: Timestamp) -> Result<Steered, StoreError> {
        self.store.resume(job, now).await
    }
}

#[async_trait]
impl<S: Store> JobStore for Twin<S> {
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, StoreError> {
        let job = acceptance.job;
        let accepted = self.store.accept(acceptance).await?;
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).insert(job);
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
        self.store.cancel(job, reason, now).await
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
        self.store.close(job, close).await
    }
}

#[async_trait]
impl<S: Store> JobView for Twin<S> {
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
