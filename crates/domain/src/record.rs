//! Recording: what came of an attempt, and what the store made of it.

use std::time::Duration;

use beacon_spec::{QuestionId, Receipt, Timestamp};

use crate::{Answer, AttemptRecord, CallError, EndReason, JobId, JobState, LeaseKey, Parting, StateCounts};

/// What is to be written about one attempt.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The right to write.
    pub lease: LeaseKey,
    /// The attempt, with its error if it failed.
    pub attempt: AttemptRecord,
    /// What becomes of the execution.
    pub outcome: Outcome,
}

impl Recording {
    /// What the attempt leaves at its endpoint.
    #[must_use]
    pub fn parting(&self) -> Parting {
        Parting::after(self.attempt.error.as_ref())
    }
}

/// What becomes of an execution after an attempt.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It has its answer.
    Completed {
        /// The answer.
        answer: Box<Answer>,
        /// The signed record.
        receipt: Box<Receipt>,
    },
    /// It will not be tried again.
    Failed {
        /// Why.
        error: CallError,
        /// The signed record.
        receipt: Box<Receipt>,
    },
    /// Its time limit passed.
    TimedOut {
        /// Why.
        error: CallError,
        /// The signed record.
        receipt: Box<Receipt>,
    },
    /// It goes back to the queue.
    Retry {
        /// Not claimed before then.
        not_before: Timestamp,
        /// Whether this attempt counts against the policy; a throttled one, or one that found no endpoint, does not.
        counts: bool,
    },
}

/// What the store made of one recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Written, now or by an earlier flush of the same recording.
    Recorded,
    /// The execution had already ended; the attempt is kept as late, nothing else changed (S7).
    Late,
    /// Somebody else has the execution; nothing was written.
    Lost,
}

/// What a group of recordings changed.
#[derive(Debug, Clone, Default)]
pub struct RecordReport {
    /// One per recording, in order.
    pub recorded: Vec<Recorded>,
    /// Question batches that are done now.
    pub batches_done: Vec<BatchDone>,
    /// Jobs that have ended now.
    pub jobs_ended: Vec<JobEnded>,
}

/// A question batch is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchDone {
    /// The job.
    pub job: JobId,
    /// The question.
    pub question: QuestionId,
    /// The batch's number, from 1.
    pub number: u32,
    /// How many batches the job has.
    pub total: u32,
    /// Its executions by state.
    pub counts: StateCounts,
    /// First dispatch to last end.
    pub duration: Duration,
}

/// A job has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnded {
    /// The job.
    pub job: JobId,
    /// How.
    pub state: JobState,
    /// Its executions by state.
    pub counts: StateCounts,
    /// Why, if it was ended early.
    pub reason: Option<EndReason>,
}

/// What a reaper's round changed.
#[derive(Debug, Clone, Default)]
pub struct Reaped {
    /// Expired leases that went back to the queue.
    pub leases_returned: u32,
    /// Executions ended by a deadline.
    pub timed_out: u32,
    /// Batches that are done by it.
    pub batches_done: Vec<BatchDone>,
    /// Jobs that ended by it.
    pub jobs_ended: Vec<JobEnded>,
}
