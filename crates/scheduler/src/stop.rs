//! Stopping in two steps: first no new calls, then no calls at all.

use tokio_util::sync::CancellationToken;

/// A request to stop, shared by everything that runs.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Stop {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Start nothing new; let calls in flight end.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Drop the calls in flight too; their leases go back, and what can be resumed is resumed later.
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Whether a stop was asked.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether calls are to be dropped.
    #[must_use]
    pub fn is_aborting(&self) -> bool {
        self.abort.is_cancelled()
    }

    /// Returns once a stop is asked.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Returns once calls are to be dropped.
    pub async fn aborting(&self) {
        self.abort.cancelled().await;
    }
}
