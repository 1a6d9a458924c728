//! What follows an attempt: the delivery is done, tried again later, or given up.

use std::time::Duration;

use beacon_domain::DeliveryEnd;
use beacon_spec::Timestamp;

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// The pause after each attempt that failed (Standard Webhooks, "Deliverability and reliability"); after the last there is
/// one more attempt, and then none.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    minutes(5),
    minutes(30),
    minutes(2 * 60),
    minutes(5 * 60),
    minutes(10 * 60),
    minutes(14 * 60),
    minutes(20 * 60),
    minutes(24 * 60),
];

/// Pauses are up to this share longer, so that what failed together does not come again together.
const JITTER: f64 = 0.1;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempted {
    /// The receiver has it.
    Delivered { status: u16 },
    /// It may work later; the receiver may have said when.
    Failed { status: Option<u16>, error: String, retry_after: Option<Duration> },
    /// It will never work.
    Final { status: Option<u16>, error: String },
}

/// What is written of it. `attempts` counts this one; `chance` is from 0 to 1.
pub(crate) fn end_of(attempted: Attempted, attempts: u32, now: Timestamp, chance: f64) -> DeliveryEnd {
    let (status, error, retry_after) = match attempted {
        Attempted::Delivered { status } => return DeliveryEnd::Done { status },
        Attempted::Final { status, error } => return DeliveryEnd::Failed { status, error },
        Attempted::Failed { status, error, retry_after } => (status, error, retry_after),
    };
    let pause = (attempts as usize).checked_sub(1).and_then(|failed| PAUSES.get(failed));
    let Some(pause) = pause else {
        return DeliveryEnd::Failed { status, error: format!("{error}; given up after {attempts} attempts") };
    };
    let pause = pause.mul_f64(1.0 + JITTER * chance).max(retry_after.unwrap_or_default());
    DeliveryEnd::Again { at: now.checked_add(pause).unwrap_or(Timestamp::MAX), status, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause_s(attempts: u32, retry_after: Option<u64>, chance: f64) -> Option<i64> {
        let failed = Attempted::Failed {
            status: None,
            error: "no".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
        };
        match end_of(failed, attempts, Timestamp::UNIX_EPOCH, chance) {
            DeliveryEnd::Again { at, .. } => Some(at.as_second()),
            DeliveryEnd::Failed { error, .. } => {
                assert!(error.contains("given up after"), "{error}");
                None
            }
            DeliveryEnd::Done { .. } => panic!("it failed"),
        }
    }

    #[test]
    fn pauses_are_those_of_standard_webhooks_and_then_it_is_given_up() {
        let pauses: Vec<_> = (1..=11).map(|attempts| pause_s(attempts, None, 0.0)).collect();

        let hours = |n: i64| Some(n * 3600);
        let start =
            [Some(5), Some(300), Some(1800), hours(2), hours(5), hours(10), hours(14), hours(20), hours(24)];
        assert_eq!(pauses[..9], start);
        assert_eq!(pauses[9..], [None, None]);
    }

    #[test]
    fn a_pause_is_never_shorter_than_the_schedule_or_the_receivers_wish() {
        assert_eq!(pause_s(2, None, 1.0), Some(330));
        assert_eq!(pause_s(1, Some(60), 0.0), Some(60));
        assert_eq!(pause_s(2, Some(60), 0.0), Some(300));
        assert_eq!(pause_s(10, Some(60), 0.0), None);
    }
}
