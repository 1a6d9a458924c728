//! Whether and when a failed attempt is followed by another. The error's class alone decides (C5).

use std::time::Duration;

use beacon_domain::{CallError, ErrorClass, Lease};
use beacon_spec::Timestamp;
use rand::RngExt as _;

/// How often and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts that may fail before the execution does.
    pub max_attempts: u32,
    /// Attempts after an answer that breaks the protocol.
    pub max_protocol_attempts: u32,
    /// Throttled attempts, which count apart.
    pub max_throttles: u32,
    /// The first back-off; it doubles each time.
    pub base: Duration,
    /// The longest back-off.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            max_protocol_attempts: 2,
            max_throttles: 100,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
        }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Try the same again, after this long.
    Again { after: Duration, counts: bool },
    /// Give up.
    GiveUp,
}

impl RetryPolicy {
    /// Decides what follows. `ends_at` is when the execution must have ended.
    pub(crate) fn decide(
        &self,
        lease: &Lease,
        error: &CallError,
        now: Timestamp,
        ends_at: Timestamp,
    ) -> Decision {
        let counts = !matches!(error.class(), ErrorClass::Throttled | ErrorClass::Overloaded);
        let (so_far, most) = match error.class() {
            ErrorClass::Rejected | ErrorClass::SpendLimit | ErrorClass::Cancelled => return Decision::GiveUp,
            ErrorClass::Throttled | ErrorClass::Overloaded => (lease.throttles, self.max_throttles),
            ErrorClass::Protocol => (lease.failures, self.max_protocol_attempts),
            ErrorClass::Unavailable | ErrorClass::Timeout | ErrorClass::Internal => {
                (lease.failures, self.max_attempts)
            }
        };
        if so_far + 1 >= most {
            return Decision::GiveUp;
        }
        let after = error.retry_after.unwrap_or_else(|| self.back_off(so_far));
        match now.checked_add(after) {
            Ok(then) if then < ends_at => Decision::Again { after, counts },
            _ => Decision::GiveUp,
        }
    }

    /// Doubling from the base to the cap, of which a random half to whole is taken.
    fn back_off(&self, so_far: u32) -> Duration {
        let full = self.base.saturating_mul(1 << so_far.min(16)).min(self.cap);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use beacon_domain::{ErrorCode, Stage};

    fn decide(code: ErrorCode, failures: u32, throttles: u32) -> Decision {
        let lease = crate::execute::tests::lease(failures, throttles);
        let now = Timestamp::UNIX_EPOCH;
        let error = CallError::new(code, Stage::Request, "");
        RetryPolicy::default().decide(&lease, &error, now, Timestamp::MAX)
    }

    #[test]
    fn a_rejected_input_is_never_tried_again() {
        assert_eq!(decide(ErrorCode::RejectedInput, 0, 0), Decision::GiveUp);
    }

    #[test]
    fn a_lost_connection_is_tried_again_until_the_attempts_are_used_up() {
        assert!(matches!(decide(ErrorCode::ConnectionLost, 2, 0), Decision::Again { counts: true, .. }));
        assert_eq!(decide(ErrorCode::ConnectionLost, 3, 0), Decision::GiveUp);
    }

    #[test]
    fn throttling_does_not_use_up_attempts() {
        assert!(matches!(decide(ErrorCode::Throttled, 3, 50), Decision::Again { counts: false, .. }));
    }

    #[test]
    fn nothing_is_tried_again_after_the_execution_must_have_ended() {
        let lease = crate::execute::tests::lease(0, 0);
        let error = CallError::new(ErrorCode::ConnectionLost, Stage::Request, "");
        let now = Timestamp::UNIX_EPOCH;

        assert_eq!(RetryPolicy::default().decide(&lease, &error, now, now), Decision::GiveUp);
    }
}
