//! What an operator changes at an endpoint while it serves: its limit, whether it drains, and its breaker.

use async_trait::async_trait;
use beacon_spec::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{EndpointId, ExecutionId, JobId, StoreError, WorkerId};

/// Changes of endpoints at run time. Claims heed them from the moment they are set (S1); workers read them now and then.
#[async_trait]
pub trait EndpointControl: Send + Sync {
    /// Sets everything that is changed at an endpoint.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn set_override(&self, endpoint: EndpointId, change: EndpointOverride) -> Result<(), StoreError>;

    /// What is changed, by endpoint, at most `n` of them.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn overrides(&self, n: u32) -> Result<Vec<(EndpointId, EndpointOverride)>, StoreError>;

    /// Frees the slots of the abandoned calls that still count at `now`, and tells how many there were. For whoever knows that
    /// the endpoint has ended them: the limit does not hold if it has not (S1). Who was to re-attach to one waits for a slot.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn forget_abandoned(&self, endpoint: EndpointId, now: Timestamp) -> Result<u32, StoreError>;

    /// What seems dead or stuck at `ask.now`, at most `ask.n` of each kind.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn stuck(&self, ask: StuckAsk) -> Result<Stuck, StoreError>;
}

/// What an operator changed at an endpoint; the default changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointOverride {
    /// Another limit, never above [`crate::Room::most`].
    pub limit: Option<u32>,
    /// Nothing new is claimed; calls in flight end.
    #[serde(default)]
    pub drain: bool,
    /// Breakers that opened before then are closed, and what throttled before then is forgotten.
    pub reset_at: Option<Timestamp>,
}

impl EndpointOverride {
    /// The limit that holds while it does not drain, where the endpoints file says `limit` and allows `most`.
    #[must_use]
    pub fn limit(&self, limit: u32, most: u32) -> u32 {
        self.limit.map_or(limit, |other| other.min(most.max(limit)))
    }
}

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub struct StuckAsk {
    /// A job with nothing in flight, and nothing dispatched for the first time since then, makes no progress.
    pub idle_since: Timestamp,
    /// The most of each kind.
    pub n: u32,
    /// The caller's time.
    pub now: Timestamp,
}

/// What seems dead or stuck.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stuck {
    /// Leases that have expired and that nobody reaped.
    pub expired: Vec<ExpiredLease>,
    /// Open jobs without progress that are not paused.
    pub idle: Vec<JobId>,
    /// Ended jobs without a signed close.
    pub unclosed: Vec<JobId>,
}

/// A lease that nobody renews.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredLease {
    /// The execution.
    pub execution: ExecutionId,
    /// Who had it.
    pub worker: Option<WorkerId>,
    /// When it expired.
    pub expired_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    // S1
    #[test]
    fn a_limit_may_be_lower_or_higher_but_never_above_what_is_allowed_at_most() {
        let to = |limit| EndpointOverride { limit: Some(limit), ..EndpointOverride::default() };

        assert_eq!(EndpointOverride::default().limit(4, 8), 4);
        assert_eq!([to(0), to(2), to(6), to(9)].map(|change| change.limit(4, 8)), [0, 2, 6, 8]);
        assert_eq!(to(9).limit(4, 0), 4, "the file's own limit is always allowed");
    }
}
