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

    /// A call was answered. It takes two to close a breaker that had opened.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        if self.open_until.is_none() {
            return;
        }
        self.successes += 1;
        if self.successes >= CLOSES_AFTER {
            *self = Self::default();
        }
    }

    /// A call failed in a way that speaks against the endpoint.
    pub(crate) fn failed(&mut self, now: Monotonic) {
        self.failures += 1;
        self.successes = 0;
        if self.open_until.is_some() || self.failures >= OPENS_AFTER {
            self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            self.open_until = Some(now + self.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(Duration::ZERO);

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        (0..OPENS_AFTER).for_each(|_| breaker.failed(NOW));
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

        breaker.succeeded();
        assert!(breaker.is_half_open());
        breaker.succeeded();
        assert!(!breaker.is_half_open());
    }

    #[test]
    fn a_failed_trial_doubles_the_pause() {
        let mut breaker = opened();
        let first = breaker.closed_to_calls_until(NOW).unwrap();

        breaker.failed(NOW);

        assert_eq!(breaker.closed_to_calls_until(NOW).unwrap().0, first.0 * 2);
    }
}
