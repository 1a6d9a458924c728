//! Time, injected. This is the only file that reads a clock.

use std::{future::Future, ops::Add, pin::Pin, time::Duration};

use beacon_spec::Timestamp;
use tokio::time::Instant;

/// A point on a clock that never jumps: the time since the clock was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// The time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// The time, as one sees it who waits and records.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The date and time.
    fn now(&self) -> Timestamp;

    /// For durations and deadlines inside this process.
    fn monotonic(&self) -> Monotonic;

    /// Waits until then; returns at once if it has passed.
    fn sleep_until(&self, then: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The machine's clock over tokio's timer. Under tokio's paused time it is virtual, dates included.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
    origin_date: Timestamp,
}

impl SystemClock {
    /// A clock that starts now. Must be called inside a tokio runtime when time is paused.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now(), origin_date: Timestamp::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // Dates advance with the monotonic clock, so that the time stamps of one process are always in order (L6).
        self.origin_date.checked_add(self.origin.elapsed()).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.origin.elapsed())
    }

    fn sleep_until(&self, then: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep_until(self.origin + then.0))
    }
}
