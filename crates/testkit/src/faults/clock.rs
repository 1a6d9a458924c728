//! The clock of one process: off by some time, running at its own speed, and set forward now and then.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use beacon_domain::{Clock, Monotonic};
use beacon_spec::Timestamp;
use tokio::time::Instant;

use super::Life;

/// Runs on tokio's time, which is virtual when paused. True time starts at 2026-01-01T12:00:00Z.
///
/// Dates go forward only: a process whose date was set back is another process with another offset.
#[derive(Debug)]
pub struct SkewedClock {
    life: Arc<Life>,
    /// When true time started.
    origin: Instant,
    /// How fast it runs; 1 is right.
    rate: f64,
    /// Added to the date, in milliseconds.
    offset_ms: Mutex<i64>,
}

impl SkewedClock {
    const START_S: i64 = 1_767_268_800;

    /// A clock that is off by `offset_ms` and runs `rate` times as fast as it should.
    #[must_use]
    pub fn new(life: Arc<Life>, origin: Instant, offset_ms: i64, rate: f64) -> Self {
        Self { life, origin, rate, offset_ms: Mutex::new(offset_ms) }
    }

    /// Sets the date forward.
    pub fn jump(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(0);
        *self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let offset_ms = *self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Timestamp::from_millisecond(Self::START_S * 1000 + offset_ms).unwrap_or(Timestamp::MAX);
        start.checked_add(self.monotonic().0).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.origin.elapsed().mul_f64(self.rate))
    }

    fn sleep_until(&self, then: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        // Rounded up, so that it has passed by this clock too.
        let until = self.origin + then.0.div_f64(self.rate) + Duration::from_micros(1);
        let life = Arc::clone(&self.life);
        Box::pin(async move {
            tokio::time::sleep_until(until).await;
            life.alive().await;
        })
    }
}
