//! The breaker of one endpoint: closed, open for a while, half open with one call at a time (S9).

use std::time::Duration;

use beacon_domain::Monotonic;

const OPENS_AFTER: u32 = 5;
const CLOSES_AFTER: u32 = 2;
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Counts consecutive failures of real calls.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    successes: u32,
    pause: Duration,
    open_until: Option<Monotonic>,
}

impl Breaker {
    /// Until when nothing may go through; `None` when something may.
    pub(crate) fn closed_to_calls_until(&self, now: Monotonic) -> Option<Monotonic> {
        self.open_until.filter(|until| *until > now)
    }

    /// Whether only one call at a time may go through.
    pub(crate) const fn is_half_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// A call was answered. It takes two to close a breaker that had opened; `true` when it closes.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.failures = 0;
        if self.open_until.is_none() {
            return false;
        }
        self.successes += 1;
        let closes = self.successes >= CLOSES_AFTER;
        if closes {
            *self = Self::default();
        }
        closes
    }

    /// A call failed in a way that speaks against the endpoint; `true` when the breaker was closed and opens.
    pub(crate) fn failed(&mut self, now: Monotonic) -> bool {
        self.failures += 1;
        self.successes = 0;
        let was_closed = self.open_until.is_none();
        // A call that fails while it is open began before: it is no trial, and makes the pause no longer.
        if self.closed_to_calls_until(now).is_some() || (was_closed && self.failures < OPENS_AFTER) {
            return false;
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.open_until = Some(now + self.pause);
        was_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(Duration::ZERO);

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        let opens: Vec<bool> = (0..OPENS_AFTER).map(|_| breaker.failed(NOW)).collect();
        assert_eq!(opens, [false, false, false, false, true]);
        breaker
    }

    // S9
    #[test]
    fn a_single_failure_never_takes_an_endpoint_out() {
        let mut breaker = Breaker::default();

        breaker.failed(NOW);

        assert_eq!(breaker.closed_to_calls_until(NOW), None);
    }

    #[test]
    fn repeated_failures_open_it_for_a_while_then_one_call_goes_through() {
        let breaker = opened();

        let until = breaker.closed_to_calls_until(NOW).unwrap();

        assert_eq!(breaker.closed_to_calls_until(until), None);
        assert!(breaker.is_half_open());
    }

    #[test]
    fn one_success_does_not_close_it_but_two_do() {
        let mut breaker = opened();

        assert!(!breaker.succeeded());
        assert!(breaker.is_half_open());
        assert!(breaker.succeeded());
        assert!(!breaker.is_half_open());
    }

    #[test]
    fn a_failed_trial_doubles_the_pause() {
        let mut breaker = opened();
        let first = breaker.closed_to_calls_until(NOW).unwrap();

        assert!(!breaker.failed(first), "it was open before");

        assert_eq!(breaker.closed_to_calls_until(first).unwrap().0, first.0 + FIRST_PAUSE * 2);
    }

    #[test]
    fn calls_that_began_before_it_opened_make_the_pause_no_longer() {
        let mut breaker = opened();

        (0..100).for_each(|_| assert!(!breaker.failed(NOW)));

        assert_eq!(breaker.closed_to_calls_until(NOW).unwrap().0, FIRST_PAUSE);
    }
}
