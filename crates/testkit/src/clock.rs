//! A clock that stands still until it is told to move.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use beacon_domain::{Clock, Monotonic};
use beacon_spec::Timestamp;
use tokio::sync::watch;

/// Starts at 2026-01-01T00:00:00Z. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct ManualClock {
    elapsed: Arc<watch::Sender<Duration>>,
}

impl ManualClock {
    /// Seconds since 1970 of the first moment.
    const START_S: i64 = 1_767_225_600;

    /// A new clock.
    #[must_use]
    pub fn new() -> Self {
        Self { elapsed: Arc::new(watch::channel(Duration::ZERO).0) }
    }

    /// Moves on; sleepers whose time has come wake.
    pub fn advance(&self, by: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += by);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let start = Timestamp::from_second(Self::START_S).unwrap_or(Timestamp::UNIX_EPOCH);
        start.checked_add(*self.elapsed.borrow()).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(*self.elapsed.borrow())
    }

    fn sleep_until(&self, then: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut elapsed = self.elapsed.subscribe();
        Box::pin(async move {
            // The clock may be gone: then time stands still for ever.
            if elapsed.wait_for(|elapsed| *elapsed >= then.0).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
