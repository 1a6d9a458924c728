//! The states of an execution and the transitions between them. The chart is `docs/STATES.md` (L4).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where an execution stands. Terminal states never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionState {
    /// Its batch is not open yet.
    Blocked,
    /// May be claimed, from its `not_before` on.
    Queued,
    /// Leased by a worker.
    Running,
    /// Has an answer.
    Completed,
    /// Has no answer and will not be tried again.
    Failed,
    /// Ended by a cancel, or by a budget.
    Cancelled,
    /// Ended by a deadline.
    TimedOut,
    /// No endpoint serves this cell; accepted on request.
    Unsupported,
}

/// A state that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("unknown state {0:?}")]
pub struct UnknownState(pub String);

impl ExecutionState {
    /// Every state, in chart order.
    pub const ALL: [Self; 8] = [
        Self::Blocked,
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
        Self::Unsupported,
    ];

    /// The name in stores, JSON and docs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Blocked | Self::Queued | Self::Running)
    }

    /// Whether `next` may follow this state.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Blocked => matches!(next, Self::Queued | Self::Cancelled | Self::TimedOut),
            Self::Queued => matches!(next, Self::Running | Self::Cancelled | Self::TimedOut),
            Self::Running => matches!(
                next,
                Self::Queued | Self::Completed | Self::Failed | Self::Cancelled | Self::TimedOut
            ),
            _ => false,
        }
    }
}

impl fmt::Display for ExecutionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ExecutionState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}
