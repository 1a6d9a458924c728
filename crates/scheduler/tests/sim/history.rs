//! What happened in a run, step by step, and what must not have happened.

use std::{fmt, time::Duration};

/// Who did it: a life of a worker, or the client (worker 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    pub(crate) worker: u32,
    /// Counts the starts of this worker.
    pub(crate) life: u32,
}

impl Who {
    pub(crate) const CLIENT: Self = Self { worker: 0, life: 0 };
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    /// True time since the run began.
    pub(crate) at: Duration,
    pub(crate) who: Who,
    pub(crate) what: &'static str,
    /// Job, from 0, and execution.
    pub(crate) about: Option<(usize, u32)>,
    /// A fencing token or a count.
    pub(crate) number: u64,
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) step: usize,
    pub(crate) invariant: &'static str,
    pub(crate) detail: String,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::CLIENT {
            f.pad("client")
        } else {
            f.pad(&format!("w{}.{}", self.worker, self.life))
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  {:<7} {:<22}", self.at.as_secs_f64(), self.who, self.what)?;
        if let Some((job, n)) = self.about {
            write!(f, " job {job} execution {n}")?;
        }
        write!(f, " ({})", self.number)
    }
}
