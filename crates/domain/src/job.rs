//! The states of a job and of its question batches, and how they follow from the executions (L5).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{StateCounts, UnknownState};

/// How questions follow each other (S2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Batching {
    /// Question n + 1 opens when every execution of question n is terminal.
    #[default]
    Question,
    /// Every endpoint goes through the questions in order; none waits for another.
    Endpoint,
}

/// Where a job stands. Terminal states never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Accepted; nothing dispatched yet.
    Queued,
    /// At least one execution was dispatched.
    Running,
    /// Every execution that an endpoint serves completed.
    Completed,
    /// Ended with some executions completed and others not.
    CompletedWithFailures,
    /// Ended with no execution completed.
    Failed,
    /// Ended by a cancel.
    Cancelled,
    /// Ended by its deadline.
    TimedOut,
}

/// Why a job ended before its executions did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// A person or a service cancelled it.
    Cancel,
    /// Its cost cap was reached.
    Budget,
    /// Its deadline passed.
    Deadline,
}

/// Whether a finished job met the minima of its spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// `min_success_rate` and `min_regions` hold.
    Met,
    /// One of them does not.
    NotMet,
}

/// Where a question batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Waits for the batch before it.
    Blocked,
    /// Its executions may run.
    Open,
    /// All its executions are terminal.
    Done,
}

impl JobState {
    /// Every state, in chart order.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::CompletedWithFailures,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
    ];

    /// The name in stores, JSON and docs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::CompletedWithFailures => "completed_with_failures",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The state of a job whose executions are all terminal, from their counts and the reason it was ended early.
    #[must_use]
    pub const fn at_end(counts: &StateCounts, reason: Option<EndReason>) -> Self {
        match reason {
            Some(EndReason::Cancel) => Self::Cancelled,
            Some(EndReason::Deadline) => Self::TimedOut,
            _ if counts.completed == 0 => Self::Failed,
            // What nobody serves is known from the plan on; it is no failure of the run (P9).
            _ if counts.completed + counts.unsupported == counts.total() => Self::Completed,
            _ => Self::CompletedWithFailures,
        }
    }
}

impl EndReason {
    /// The name in stores, JSON and docs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Budget => "budget",
            Self::Deadline => "deadline",
        }
    }
}

impl Verdict {
    /// Judges the counts of a finished job; the denominator is the plan.
    #[must_use]
    pub fn of(counts: &StateCounts, regions_answered: u32, min_success_rate: f64, min_regions: u32) -> Self {
        let rate = f64::from(counts.completed) / f64::from(counts.total().max(1));
        if rate >= min_success_rate && regions_answered >= min_regions { Self::Met } else { Self::NotMet }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}
