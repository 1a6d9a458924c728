//! What both stores decide alike: errors that follow from a state, expired leases, days.

use beacon_domain::{CallError, EndReason, ErrorCode, ExecutionState, LossReason, Stage};
use beacon_spec::Timestamp;

/// A lease that expires this often takes its workers down with it: the execution fails.
pub(crate) const MOST_EXPIRIES: u32 = 5;

/// How many rows a page has when the caller does not say.
pub(crate) const PAGE: u32 = 50;

/// Days since 1970 UTC.
pub(crate) fn day(now: Timestamp) -> i64 {
    now.as_second().div_euclid(86_400)
}

/// The error of an execution that ended without an attempt of its own.
pub(crate) fn implied_error(
    state: ExecutionState,
    reason: Option<EndReason>,
    by: Option<&str>,
) -> Option<CallError> {
    let (code, message) = match (state, reason) {
        (ExecutionState::Cancelled, Some(EndReason::Budget)) => {
            (ErrorCode::BudgetExhausted, "the job's cost cap was reached".to_owned())
        }
        (ExecutionState::Cancelled, _) => (
            ErrorCode::Cancelled,
            by.map_or_else(|| "cancelled".to_owned(), |by| format!("cancelled by {by}")),
        ),
        (ExecutionState::TimedOut, _) => (ErrorCode::DeadlinePassed, "the job's deadline passed".to_owned()),
        _ => return None,
    };
    Some(CallError::new(code, Stage::Queue, message))
}

/// The error of an execution whose workers kept dying.
pub(crate) fn poison_error() -> CallError {
    let message = format!("its lease expired {MOST_EXPIRIES} times; it may take its workers down");
    CallError::new(ErrorCode::Internal, Stage::Queue, message)
}

/// Why a lease is not held any more, from the state of its execution.
pub(crate) fn loss(state: ExecutionState) -> LossReason {
    match state {
        ExecutionState::Cancelled => LossReason::Cancelled,
        ExecutionState::TimedOut => LossReason::TimedOut,
        _ => LossReason::Reclaimed,
    }
}
