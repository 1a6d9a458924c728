//! Leases: who may run an execution, and until when (L3).

use std::{fmt, sync::Arc};

use beacon_spec::{QuestionId, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{AttemptId, CallError, CallRequest, EndpointId, ExecutionId, SpanId};

/// What proves the right to write about an execution: the fencing token grows with every claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseKey {
    /// The execution.
    pub execution: ExecutionId,
    /// The fencing token of this claim.
    pub token: u64,
}

/// How a running remote call can be found again after a crash (C2). Opaque to all but the provider that made it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeToken(pub String);

impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A result URL may carry a capability; it stays out of logs.
        write!(f, "ResumeToken({} bytes)", self.0.len())
    }
}

/// The right to run one attempt of an execution until it expires, with all that is needed to run it.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Execution and fencing token.
    pub key: LeaseKey,
    /// The attempt's number, from 1. A claim that resumes a remote call keeps the number of the attempt it resumes.
    pub attempt: u32,
    /// How many attempts of this execution have failed and count against the retry policy.
    pub failures: u32,
    /// How many were only throttled, or found no endpoint, and do not count.
    pub throttles: u32,
    /// When the lease ends unless renewed.
    pub expires_at: Timestamp,
    /// Where to call.
    pub endpoint: EndpointId,
    /// What to send.
    pub request: CallRequest,
    /// The question.
    pub question: QuestionId,
    /// The question batch's number, from 1.
    pub batch: u32,
    /// The repetition, from 1.
    pub run: u32,
    /// How to re-attach to a call that an earlier worker left running.
    pub resume: Option<ResumeToken>,
    /// When the execution could first be claimed; queue time starts here.
    pub queued_at: Timestamp,
    /// When its first attempt was dispatched; this claim's time for the first one. The execution's clock starts here.
    pub started_at: Timestamp,
    /// When the job ends whatever happens.
    pub job_deadline: Timestamp,
    /// The attempt's time limit that the spec asks for, if it does.
    pub provider_timeout: Option<std::time::Duration>,
    /// The digest of the signed spec, for the receipt.
    pub spec_digest: Sha256Digest,
    /// Goes to the endpoint's header and into the record (O4).
    pub trace_id: Arc<str>,
}

impl Lease {
    /// The attempt that this lease runs.
    #[must_use]
    pub const fn attempt_id(&self) -> AttemptId {
        AttemptId { execution: self.key.execution, number: self.attempt }
    }

    /// Its span in the job's trace (O4).
    #[must_use]
    pub fn span(&self) -> SpanId {
        SpanId::of_claim(self.attempt_id(), self.key.token)
    }
}

/// What a lease that is given back leaves at its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// Nothing: no call was made, or it has ended.
    NoCall,
    /// A call that nobody waits for any more, and that may still run.
    Abandoned,
}

impl Parting {
    /// What an attempt leaves that ended in this way.
    #[must_use]
    pub fn after(error: Option<&CallError>) -> Self {
        if error.is_some_and(CallError::may_still_run) { Self::Abandoned } else { Self::NoCall }
    }
}

/// What a renewal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// Still ours, until then.
    Kept(Timestamp),
    /// No longer ours: drop the call.
    Lost(LossReason),
}

/// Why a lease was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// The job was cancelled or ran out of budget.
    Cancelled,
    /// The job's deadline passed.
    TimedOut,
    /// The lease expired and somebody else has the execution.
    Reclaimed,
}
