//! The pace of reading a result URL. A reading that was held by the endpoint is pace enough; a quick one is followed by
//! a pause, so that no answer of an endpoint can make a busy loop.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use beacon_domain::AttemptId;

/// A reading shorter than this was not held.
const QUICK: Duration = Duration::from_secs(1);
const LONGEST_STEP: u64 = 4;

pub(crate) struct Pace {
    seed: u64,
    quick: u64,
}

impl Pace {
    /// Attempts differ in their pauses, so that many do not knock at once.
    pub(crate) fn new(attempt: &AttemptId) -> Self {
        let mut hasher = DefaultHasher::new();
        attempt.hash(&mut hasher);
        Self { seed: hasher.finish(), quick: 0 }
    }

    /// The pause after a reading that took this long and asked for so much: 1 s to 2 s after a first quick one, growing to
    /// 4 s to 5 s; none after one that was held.
    pub(crate) fn after(&mut self, took: Duration, asked: Option<Duration>) -> Duration {
        let asked = asked.unwrap_or_default();
        if took >= QUICK {
            self.quick = 0;
            return asked;
        }
        self.quick += 1;
        let step = self.quick.min(LONGEST_STEP);
        let jitter = self.seed.rotate_left(7 * u32::try_from(self.quick % 9).unwrap_or(0)) % 1000;
        asked.max(Duration::from_millis(1000 * step + jitter))
    }
}

#[cfg(test)]
mod tests {
    use beacon_domain::{ExecutionId, JobId};

    use super::*;

    fn pace(number: u32) -> Pace {
        let execution = ExecutionId { job: JobId::from_bytes([7; 16]), n: 3 };
        Pace::new(&AttemptId { execution, number })
    }

    #[test]
    fn quick_readings_are_paused_longer_and_longer_up_to_five_seconds() {
        let mut pace = pace(1);

        let pauses: Vec<u128> = (0..6).map(|_| pace.after(Duration::ZERO, None).as_millis() / 1000).collect();

        assert_eq!(pauses, [1, 2, 3, 4, 4, 4]);
    }

    #[test]
    fn a_held_reading_needs_no_pause_and_starts_anew() {
        let mut pace = pace(1);
        pace.after(Duration::ZERO, None);
        pace.after(Duration::ZERO, None);

        assert_eq!(pace.after(QUICK, None), Duration::ZERO);
        assert!(pace.after(Duration::ZERO, None) < Duration::from_secs(2));
    }

    #[test]
    fn a_longer_wish_of_the_endpoint_is_kept() {
        let wish = Duration::from_secs(30);

        assert_eq!(pace(1).after(Duration::ZERO, Some(wish)), wish);
        assert_eq!(pace(1).after(QUICK, Some(wish)), wish);
    }

    #[test]
    fn attempts_do_not_knock_at_once() {
        let pauses: std::collections::BTreeSet<_> =
            (1..=20).map(|number| pace(number).after(Duration::ZERO, None)).collect();

        assert!(pauses.len() > 15, "{pauses:?}");
    }
}
