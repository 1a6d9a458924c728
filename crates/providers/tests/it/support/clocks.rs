//! A clock on which short sleeps take no time, but are counted.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use beacon_domain::{Clock, Monotonic};
use beacon_spec::Timestamp;
use beacon_testkit::ManualClock;

/// Sleeps up to [`SkippingClock::LONGEST`] pass at once and move the clock; longer ones (deadlines, the time limit of
/// connecting) wait for the clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct SkippingClock {
    clock: ManualClock,
    skipped: Arc<Mutex<Vec<Duration>>>,
}

impl SkippingClock {
    pub(crate) const LONGEST: Duration = Duration::from_secs(10);

    /// The sleeps skipped so far.
    pub(crate) fn skipped(&self) -> Vec<Duration> {
        self.skipped.lock().unwrap().clone()
    }
}

impl Clock for SkippingClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    fn sleep_until(&self, then: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let left = then.since(self.clock.monotonic());
        if !left.is_zero() && left <= Self::LONGEST {
            self.skipped.lock().unwrap().push(left);
            self.clock.advance(left);
        }
        self.clock.sleep_until(then)
    }
}
