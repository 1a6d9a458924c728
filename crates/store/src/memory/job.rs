//! A job as the memory store holds it: what was accepted, and where each execution stands.

use std::{sync::Arc, time::Duration};

use beacon_domain::{
    Answer, AttemptRecord, BatchState, Batching, CallError, EndReason, EndpointId, ExecutionState, JobId,
    JobState, Paused, ResumeToken, StateCounts, Verdict, WorkerId,
};
use beacon_spec::{
    Close, ModelId, Question, Receipt, Region, Sampling, Sha256Digest, Timestamp, VerifiedSpec,
};

/// One job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) generation: u32,
    pub(super) retry_of: Option<JobId>,
    pub(super) spec: VerifiedSpec,
    pub(super) batching: Batching,
    pub(super) sampling: Sampling,
    pub(super) weight: u32,
    pub(super) trace_id: Arc<str>,
    pub(super) accepted_at: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) lower_bound: Option<Duration>,
    pub(super) cost_cap_micros: Option<u64>,
    pub(super) cost_micros: u64,
    pub(super) state: JobState,
    pub(super) reason: Option<EndReason>,
    pub(super) ended_by: Option<String>,
    pub(super) paused: Option<Paused>,
    pub(super) verdict: Option<Verdict>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) close: Option<Close>,
    pub(super) batches: Vec<Batch>,
    pub(super) executions: Vec<Execution>,
    /// The first batch that is not done; the number of batches when all are.
    pub(super) first_undone: usize,
    /// How many batches are not done.
    pub(super) undone: usize,
}

/// One question batch.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) question: Question,
    pub(super) state: BatchState,
    pub(super) counts: StateCounts,
    /// The place of its first execution.
    pub(super) first: u32,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
}

/// One execution.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) batch: u32,
    pub(super) model: ModelId,
    pub(super) region: Region,
    pub(super) run: u32,
    pub(super) endpoint: Option<EndpointId>,
    pub(super) state: ExecutionState,
    /// Set by a retry or a give-back; `None` keeps the plan's order.
    pub(super) not_before: Option<Timestamp>,
    pub(super) attempts: u32,
    pub(super) failures: u32,
    pub(super) throttles: u32,
    pub(super) expiries: u32,
    pub(super) token: u64,
    pub(super) queued_at: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) lease_until: Timestamp,
    pub(super) worker: Option<WorkerId>,
    /// It was ended while a call ran, and nobody has said yet that the call is gone (S1).
    pub(super) lingers: bool,
    pub(super) resume: Option<ResumeToken>,
    /// Every attempt with the fencing token it was written under.
    pub(super) history: Vec<(u64, AttemptRecord)>,
    pub(super) result: Option<Outcome>,
}

/// The one terminal result of an execution.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) answer: Option<Answer>,
    pub(super) error: Option<CallError>,
    pub(super) receipt: Option<(Receipt, Sha256Digest)>,
}

impl Job {
    pub(super) fn counts(&self) -> StateCounts {
        let mut sum = StateCounts::default();
        for batch in &self.batches {
            for state in ExecutionState::ALL {
                *sum.of_mut(state) += batch.counts.of(state);
            }
        }
        sum
    }

    /// Its pause, while there is something to pause.
    pub(super) fn pause(&self) -> Option<Paused> {
        self.paused.clone().filter(|_| self.ended_at.is_none())
    }

    /// Whether its executions may still be claimed.
    pub(super) fn is_claimable(&self) -> bool {
        self.reason.is_none() && self.cost_cap_micros.is_none_or(|cap| self.cost_micros < cap)
    }
}

impl Outcome {
    pub(super) fn of_error(error: CallError) -> Self {
        Self { answer: None, error: Some(error), receipt: None }
    }
}
