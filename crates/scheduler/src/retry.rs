//! Whether and when a failed attempt is followed by another. The error's class alone decides (C5).

use std::time::Duration;

use beacon_domain::{CallError, ErrorClass, Lease, LeaseKey};
use beacon_spec::{Sha256Digest, Timestamp};

/// How often and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts that may fail before the execution does.
    pub max_attempts: u32,
    /// Attempts after an answer that breaks the protocol.
    pub max_protocol_attempts: u32,
    /// Throttled attempts, which count apart.
    pub max_throttles: u32,
    /// How long an endpoint that no call reaches is waited for. Until then such attempts count as throttled ones do, without
    /// a limit; after it they count as any other.
    pub unreachable: Duration,
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
            unreachable: Duration::from_secs(600),
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

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed<'a> {
    /// Why it failed.
    pub(crate) error: &'a CallError,
    /// When.
    pub(crate) at: Timestamp,
    /// When the execution must have ended.
    pub(crate) ends_at: Timestamp,
    /// For how long no call had reached its endpoint.
    pub(crate) away: Duration,
}

impl RetryPolicy {
    /// Decides what follows.
    pub(crate) fn decide(&self, lease: &Lease, failure: &Failed<'_>) -> Decision {
        let (error, class) = (failure.error, failure.error.class());
        let counts =
            !matches!(class, ErrorClass::Throttled | ErrorClass::Overloaded | ErrorClass::Unreachable);
        let (so_far, most) = match class {
            ErrorClass::Rejected | ErrorClass::SpendLimit | ErrorClass::Cancelled => return Decision::GiveUp,
            ErrorClass::Throttled | ErrorClass::Overloaded => (lease.throttles, self.max_throttles),
            // The endpoint is away; it is not the execution that failed.
            ErrorClass::Unreachable if failure.away < self.unreachable => (lease.throttles, u32::MAX),
            // Each execution has its attempts still: another worker may reach what this one does not.
            ErrorClass::Unreachable => (lease.failures + lease.throttles, self.max_attempts),
            ErrorClass::Protocol => (lease.failures, self.max_protocol_attempts),
            ErrorClass::Unavailable | ErrorClass::Timeout | ErrorClass::Internal => {
                (lease.failures, self.max_attempts)
            }
        };
        if so_far + 1 >= most {
            return Decision::GiveUp;
        }
        let after = error.retry_after.unwrap_or_else(|| self.back_off(lease.key, so_far));
        match failure.at.checked_add(after) {
            Ok(then) if then < failure.ends_at => Decision::Again { after, counts },
            _ => Decision::GiveUp,
        }
    }

    /// Doubling from the base to the cap, of which a half to the whole is taken.
    fn back_off(&self, lease: LeaseKey, so_far: u32) -> Duration {
        let full = self.base.saturating_mul(1 << so_far.min(16)).min(self.cap);
        full.mul_f64(0.5 + 0.5 * spread(lease))
    }
}

/// From 0 to 1, evenly over leases. It comes from the lease and not from chance, so that a run on virtual time repeats.
fn spread(lease: LeaseKey) -> f64 {
    let digest = Sha256Digest::of(format!("{}/{}", lease.execution, lease.token).as_bytes());
    let number = digest.as_bytes()[..4].iter().fold(0, |number, byte| (number << 8) | u32::from(*byte));
    f64::from(number) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use beacon_domain::{ErrorCode, Stage};

    const PATIENCE: Duration = Duration::from_secs(600);

    fn decide(code: ErrorCode, failures: u32, throttles: u32) -> Decision {
        decide_away(code, failures, throttles, Duration::ZERO)
    }

    fn decide_away(code: ErrorCode, failures: u32, throttles: u32, away: Duration) -> Decision {
        let lease = crate::execute::tests::lease(failures, throttles);
        let error = CallError::new(code, Stage::Request, "");
        let failure = Failed { error: &error, at: Timestamp::UNIX_EPOCH, ends_at: Timestamp::MAX, away };
        RetryPolicy::default().decide(&lease, &failure)
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
    fn an_endpoint_that_is_away_uses_up_no_attempts_until_patience_ends() {
        for code in [
            ErrorCode::ConnectRefused,
            ErrorCode::DnsFailed,
            ErrorCode::TlsFailed,
            ErrorCode::EndpointStopped,
        ] {
            let again = decide_away(code, 3, 1000, PATIENCE - Duration::from_nanos(1));
            assert!(matches!(again, Decision::Again { counts: false, .. }), "{code}");
            assert_eq!(decide_away(code, 0, 3, PATIENCE), Decision::GiveUp, "{code}");
        }
    }

    #[test]
    fn an_execution_that_has_hardly_tried_does_not_pay_for_others_that_waited_in_vain() {
        let again = decide_away(ErrorCode::ConnectRefused, 0, 0, PATIENCE * 100);

        assert!(matches!(again, Decision::Again { counts: false, .. }));
    }

    #[test]
    fn back_offs_spread_over_the_upper_half_and_repeat() {
        let policy = RetryPolicy::default();
        let mut lease = crate::execute::tests::lease(0, 0).key;
        let mut shares = Vec::new();

        for token in 0..1000 {
            lease.token = token;
            let back_off = policy.back_off(lease, 0);
            assert_eq!(back_off, policy.back_off(lease, 0));
            shares.push(back_off.div_duration_f64(policy.base));
        }

        assert!(shares.iter().all(|share| (0.5..=1.0).contains(share)));
        let mean = shares.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.75).abs() < 0.02, "{mean}");
    }

    #[test]
    fn nothing_is_tried_again_after_the_execution_must_have_ended() {
        let lease = crate::execute::tests::lease(0, 0);
        let error = CallError::new(ErrorCode::ConnectionLost, Stage::Request, "");
        let now = Timestamp::UNIX_EPOCH;
        let failure = Failed { error: &error, at: now, ends_at: now, away: Duration::ZERO };

        assert_eq!(RetryPolicy::default().decide(&lease, &failure), Decision::GiveUp);
    }
}
