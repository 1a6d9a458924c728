//! What a trusted key may have at once and in a day.

use serde::{Deserialize, Serialize};

/// The quota of a key. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Executions that are not terminal, over all its jobs.
    pub open_executions: Option<u32>,
    /// Jobs accepted in one UTC day.
    pub jobs_per_day: Option<u32>,
    /// Millionths of a dollar for the jobs that were accepted in one UTC day. An open job counts with its cost cap, an
    /// ended one with its cost; a job without a cap gets what is left as its cap.
    pub spend_per_day_micros: Option<u64>,
}

impl Quota {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}
