//! Taps: a test decides when a scripted answer goes on, so that nothing has to wait for time to pass.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Closed at first. Clones are the same tap.
#[derive(Debug, Clone)]
pub struct Tap(Arc<Semaphore>);

impl Tap {
    /// A closed tap.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets `n` units through: a held answer takes one, a dripping body one per byte.
    pub fn let_through(&self, n: usize) {
        self.0.add_permits(n);
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Returns when everything that was let through has been taken.
    pub async fn run_dry(&self) {
        while self.0.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Takes one unit.
    pub(crate) async fn take(&self) {
        let permit = self.0.acquire().await.expect("a tap's semaphore is never closed");
        permit.forget();
    }
}

impl Default for Tap {
    fn default() -> Self {
        Self::new()
    }
}
