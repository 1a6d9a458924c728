//! The ports to a store. Every method is one transaction.

use std::time::Duration;

use async_trait::async_trait;
use beacon_spec::{Close, Quota, Sha256Digest, Timestamp, VerifiedSpec};

use crate::{
    Claim, Claimed, EndReason, ExecutionId, ExecutionRecord, Failure, JobFilter, JobId, JobState, JobSummary,
    LeaseKey, Matrix, Page, Parting, Plan, Progress, QuotaExceeded, Reaped, RecordReport, Recording, Renewed,
    ResumeToken,
};

/// Accepting and ending jobs.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Writes the job with all its executions (L1), the nonce and the signature point, or finds the job that is
    /// already there under the same id with the same bytes (P11).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for other bytes under the id, [`StoreError::Replayed`] for a used nonce,
    /// [`StoreError::KeyCompromised`] for a signature point used for another message, [`StoreError::OverQuota`] for a key
    /// that has its quota; it holds over all processes.
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, StoreError>;

    /// What this key used this nonce for, if it did. What is signed with it again can only find that job or be refused;
    /// [`JobStore::accept`] alone decides.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn nonce_use(&self, public_key: [u8; 32], nonce: String) -> Result<Option<NonceUse>, StoreError>;

    /// Ends a job: open executions become `cancelled`, leases in flight are lost, in one transaction (S7).
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`].
    async fn cancel(&self, job: JobId, reason: CancelReason, now: Timestamp)
    -> Result<Cancelled, StoreError>;

    /// At most `n` ended jobs that have no signed close yet.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn unclosed(&self, n: u32) -> Result<Vec<JobId>, StoreError>;

    /// Receipt hashes of a job in the order of the plan, at most `n` after execution `after`.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn receipt_leaves(
        &self,
        job: JobId,
        after: Option<u32>,
        n: u32,
    ) -> Result<Vec<ReceiptLeaf>, StoreError>;

    /// Writes the signed close of an ended job; the first one stays.
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`].
    async fn close(&self, job: JobId, close: Close) -> Result<(), StoreError>;
}

/// The queue of executions.
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// Leases executions that are ready, fairly over keys and jobs, within every limit (S1, S4). For each endpoint
    /// an earlier question goes first; before it go executions whose abandoned call still runs, which take no other slot.
    /// A claim sees what is being recorded through this port when it is asked for.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError>;

    /// Extends leases from `now` by `lease`; one answer per key, in order.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError>;

    /// Makes the resume token of a running attempt durable. `false`: the lease is lost.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError>;

    /// Writes what came of attempts. Replaying the same recordings changes nothing.
    ///
    /// # Errors
    /// The store cannot be reached; nothing was written.
    async fn record(&self, recordings: Vec<Recording>, now: Timestamp) -> Result<RecordReport, StoreError>;

    /// Gives leases back unused: no attempt is counted, resume tokens stay (L3). A lease that was lost to a cancel or to
    /// a deadline counts against every limit until it is given back, recorded late, or expired, because its call may
    /// still run (S1); giving it back is not counted in the answer.
    ///
    /// A call that is abandoned goes on counting after that: as long as its endpoint may go on with it, or, where it has a
    /// resume token, until a claim re-attaches to it, which takes no other slot. The same holds for calls that were recorded
    /// with an error that leaves them running. It holds for those whose lease expired as well, and is counted from the end
    /// of the lease, whenever somebody finds that: their worker had it until then, and nobody knows of later.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn give_back(
        &self,
        leases: Vec<LeaseKey>,
        parting: Parting,
        now: Timestamp,
    ) -> Result<u32, StoreError>;

    /// Returns at most `n` expired leases to the queue, and ends the jobs whose deadline has passed (L7).
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn reap(&self, n: u32, now: Timestamp) -> Result<Reaped, StoreError>;
}

/// Reading. Nothing here changes anything.
#[async_trait]
pub trait JobView: Send + Sync {
    /// One job.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn job(&self, job: JobId) -> Result<Option<JobSummary>, StoreError>;

    /// Jobs, newest first.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobSummary>, StoreError>;

    /// Every cell of a job with its state.
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`].
    async fn matrix(&self, job: JobId) -> Result<Matrix, StoreError>;

    /// Executions with answers, attempts and receipts, in the order of the plan.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn records(
        &self,
        job: JobId,
        after: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ExecutionRecord>, StoreError>;

    /// The counts of a job by question, model, region and endpoint. Abandoned calls are those that may still run at `now`.
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`].
    async fn progress(&self, job: JobId, now: Timestamp) -> Result<Progress, StoreError>;

    /// Executions that failed or timed out, counted by endpoint, state and error; the most frequent first.
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`].
    async fn failures(&self, job: JobId) -> Result<Vec<Failure>, StoreError>;
}

/// Everything that acceptance writes.
#[derive(Debug)]
pub struct Acceptance {
    /// The job's id, derived from key, name and generation.
    pub job: JobId,
    /// 0 for the first run of a spec.
    pub generation: u32,
    /// The job whose failed executions this one tries again, if it is such a job.
    pub retry_of: Option<JobId>,
    /// The verified spec: bytes, digest, key and derived job.
    pub spec: VerifiedSpec,
    /// The frozen plan.
    pub plan: Plan,
    /// When the job ends whatever happens.
    pub deadline: Timestamp,
    /// The plan's lower bound of the makespan, if timing was known.
    pub lower_bound: Option<Duration>,
    /// The cost cap in millionths of a dollar, if there is one.
    pub cost_cap_micros: Option<u64>,
    /// This key's share against other keys (S4); 1 is normal.
    pub weight: u32,
    /// What the key may have, unless an operator has set another quota for it.
    pub quota: Quota,
    /// Whether the nonce must be new: services say yes, a local run of a file says no.
    pub nonce_must_be_new: bool,
    /// When it was accepted.
    pub now: Timestamp,
}

/// What a key used a nonce for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonceUse {
    /// The first job with this nonce.
    pub job: JobId,
    /// SHA-256 of the bytes that made it, while the job is kept.
    pub digest: Option<Sha256Digest>,
}

/// What acceptance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// A new job.
    New(JobId),
    /// The same bytes were accepted before; this is that job.
    Existing(JobId, JobState),
}

/// Who or what ends a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelReason {
    /// A person or a service, by name.
    By(String),
    /// The cost cap. Executions that wait are cancelled; those in flight may finish.
    Budget,
}

/// What a cancel changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancelled {
    /// Whether the job had already ended, and nothing changed.
    pub already_ended: bool,
    /// The job's state now.
    pub state: JobState,
    /// Executions that had not been dispatched.
    pub waiting: u32,
    /// Calls that were in flight.
    pub in_flight: u32,
    /// Why the job ended or is ending.
    pub reason: Option<EndReason>,
}

/// One leaf of a job's Merkle tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptLeaf {
    /// The execution.
    pub execution: ExecutionId,
    /// The receipt's hash.
    pub hash: Sha256Digest,
}

/// Why a store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Other bytes were accepted under this id.
    #[error(
        "job {0} exists with other bytes; look at that one, which may be this same work, or give this one a new id"
    )]
    Conflict(JobId),
    /// The nonce was used before, by this job.
    #[error(
        "the nonce was used before, by job {0}: look at that one first, which may be this same work under another id; \
         only to run it once more sign the job again with a new nonce"
    )]
    Replayed(JobId),
    /// The signer's key leaks: one signature point over two messages.
    #[error("key_compromised: the key signed two different messages with the same point; revoke it")]
    KeyCompromised,
    /// There is no such job.
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    /// A quota of the key refuses the job; nothing of it was written.
    #[error("{0}")]
    OverQuota(QuotaExceeded),
    /// Something else has this name, or had it.
    #[error("{0}")]
    NameTaken(String),
    /// Another process has it.
    #[error("{0}")]
    Occupied(String),
    /// The database lacks this version's schema; the text says what to do.
    #[error("{message}")]
    Schema {
        /// What is wrong and what to do.
        message: String,
        /// What the database said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It is full, read-only, gone or broken; the text says what to do.
    #[error("{message}")]
    Unavailable {
        /// What is wrong and what to do.
        message: String,
        /// What the database said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}
