//! What people and pages see of a job.

use std::time::Duration;

use beacon_spec::{Close, JobName, KeyId, ModelId, QuestionId, Receipt, Region, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Answer, AttemptRecord, BatchState, Batching, Bound, CallError, EndReason, EndpointId, ErrorCode,
    ExecutionId, ExecutionState, Gate, JobId, JobState, Paused, Verdict,
};

/// Executions by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StateCounts {
    /// Waiting for their batch.
    pub blocked: u32,
    /// Waiting for an endpoint or a retry.
    pub queued: u32,
    /// In flight.
    pub running: u32,
    /// With an answer.
    pub completed: u32,
    /// Without.
    pub failed: u32,
    /// Cancelled.
    pub cancelled: u32,
    /// Ended by a deadline.
    pub timed_out: u32,
    /// Served by no endpoint.
    pub unsupported: u32,
}

impl StateCounts {
    /// All executions.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.open() + self.completed + self.failed + self.cancelled + self.timed_out + self.unsupported
    }

    /// Those that are not terminal.
    #[must_use]
    pub const fn open(&self) -> u32 {
        self.blocked + self.queued + self.running
    }

    /// The count of one state.
    #[must_use]
    pub const fn of(&self, state: ExecutionState) -> u32 {
        match state {
            ExecutionState::Blocked => self.blocked,
            ExecutionState::Queued => self.queued,
            ExecutionState::Running => self.running,
            ExecutionState::Completed => self.completed,
            ExecutionState::Failed => self.failed,
            ExecutionState::Cancelled => self.cancelled,
            ExecutionState::TimedOut => self.timed_out,
            ExecutionState::Unsupported => self.unsupported,
        }
    }

    /// The count of one state, to change.
    pub const fn of_mut(&mut self, state: ExecutionState) -> &mut u32 {
        match state {
            ExecutionState::Blocked => &mut self.blocked,
            ExecutionState::Queued => &mut self.queued,
            ExecutionState::Running => &mut self.running,
            ExecutionState::Completed => &mut self.completed,
            ExecutionState::Failed => &mut self.failed,
            ExecutionState::Cancelled => &mut self.cancelled,
            ExecutionState::TimedOut => &mut self.timed_out,
            ExecutionState::Unsupported => &mut self.unsupported,
        }
    }
}

/// A job in one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// The signer's id for it.
    pub name: JobName,
    /// The signer's key.
    pub key: KeyId,
    /// 0 for the first run of a spec.
    pub generation: u32,
    /// The job it tries again, if any.
    pub retry_of: Option<JobId>,
    /// Where it stands.
    pub state: JobState,
    /// Why it ended early, if it did.
    pub reason: Option<EndReason>,
    /// Whether it met its minima, once ended.
    pub verdict: Option<Verdict>,
    /// Its pause, while it is paused.
    pub paused: Option<Paused>,
    /// Executions by state.
    pub counts: StateCounts,
    /// How questions follow each other.
    pub batching: Batching,
    /// The digest of the signed bytes.
    pub spec_digest: Sha256Digest,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When its first execution was dispatched.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it ends whatever happens.
    pub deadline: Timestamp,
    /// The plan's lower bound of the makespan, if known.
    #[serde(rename = "lower_bound_s", with = "crate::seconds::option")]
    pub lower_bound: Option<Duration>,
    /// What it cost so far, in millionths of a dollar.
    pub cost_micros: u64,
    /// Its cap, if it has one.
    pub cost_cap_micros: Option<u64>,
    /// The signed close, once written.
    pub close: Option<Close>,
}

impl JobSummary {
    /// First dispatch to end, once ended.
    #[must_use]
    pub fn makespan(&self) -> Option<Duration> {
        let (started, ended) = (self.started_at?, self.ended_at?);
        Duration::try_from(ended.duration_since(started)).ok()
    }
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only jobs with this signer's id.
    pub name: Option<JobName>,
    /// Only jobs in this state.
    pub state: Option<JobState>,
    /// Only jobs that this key signed.
    pub key: Option<KeyId>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// The most rows; 0 means 50.
    pub limit: u32,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

/// Every cell of a job, in the order of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// The job.
    pub job: JobId,
    /// One per execution.
    pub cells: Vec<CellView>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellView {
    /// The execution's place in the plan.
    pub n: u32,
    /// The question.
    pub question: QuestionId,
    /// The model asked.
    pub model: ModelId,
    /// The region asked.
    pub region: Region,
    /// The repetition, from 1.
    pub run: u32,
    /// Who serves it.
    pub endpoint: Option<EndpointId>,
    /// Where it stands.
    pub state: ExecutionState,
    /// Attempts started.
    pub attempts: u32,
    /// When it was first dispatched.
    pub started_at: Option<Timestamp>,
    /// When it may be tried again, while it waits for that.
    pub not_before: Option<Timestamp>,
    /// Whether a remote call of it is known, to which the next worker re-attaches (C2).
    pub resumable: bool,
}

/// A job's counts along every axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The job.
    pub job: JobSummary,
    /// By question, in order.
    pub batches: Vec<BatchView>,
    /// By endpoint, in order of id.
    pub endpoints: Vec<EndpointView>,
}

/// Executions that ended without an answer for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The endpoint that served them, if one did.
    pub endpoint: Option<EndpointId>,
    /// How they ended: failed or timed out.
    pub state: ExecutionState,
    /// Why. For those that ran out of time between attempts this is what their last attempt met.
    pub code: ErrorCode,
    /// How many.
    pub executions: u32,
    /// What was said about the first of them.
    pub message: String,
}

/// One question batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchView {
    /// The question.
    pub question: QuestionId,
    /// The question's text.
    pub text: String,
    /// From 1.
    pub number: u32,
    /// Where it stands.
    pub state: BatchState,
    /// Its executions by state.
    pub counts: StateCounts,
    /// First dispatch.
    pub started_at: Option<Timestamp>,
    /// Last end.
    pub ended_at: Option<Timestamp>,
}

/// One endpoint's part of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointView {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The model.
    pub model: ModelId,
    /// The region.
    pub region: Region,
    /// The job's executions on it by state.
    pub counts: StateCounts,
    /// What a worker last said of it, if one did.
    pub gate: Option<Gate>,
    /// What kept the last claim from taking more for it, if anything did.
    pub bound: Option<Bound>,
    /// Its limit as last used, if known.
    pub limit: Option<u32>,
    /// What counts against its limit, over all jobs: live leases and abandoned calls.
    pub in_flight: u32,
    /// Of these, calls that nobody waits for any more and that may still run there.
    #[serde(default)]
    pub abandoned: u32,
    /// When the first of them counts no more, without those to which a worker is to re-attach.
    #[serde(default)]
    pub abandoned_until: Option<Timestamp>,
}

/// One execution with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionRecord {
    /// Its id.
    pub id: ExecutionId,
    /// What it is.
    pub cell: CellView,
    /// The text as sent.
    pub prompt: String,
    /// Every attempt, in order.
    pub attempts: Vec<AttemptRecord>,
    /// The answer, once completed.
    pub answer: Option<Answer>,
    /// Why it has none, once terminal.
    pub error: Option<CallError>,
    /// The signed record, if an attempt ended it.
    pub receipt: Option<Receipt>,
}
