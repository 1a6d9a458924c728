//! Why executions of a job ended without an answer, counted.

use std::collections::HashMap;

use beacon_domain::{AttemptRecord, CallError, EndpointId, ErrorCode, ExecutionState, Failure};

/// The executions that failed or timed out, by endpoint, state and error.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    found: HashMap<(Option<EndpointId>, ExecutionState, ErrorCode), (u32, String)>,
}

/// Whether executions in this state count as failures.
pub(crate) const fn is_failure(state: ExecutionState) -> bool {
    matches!(state, ExecutionState::Failed | ExecutionState::TimedOut)
}

impl Failures {
    /// Counts one, in the order of the plan.
    pub(crate) fn add(&mut self, endpoint: Option<EndpointId>, state: ExecutionState, error: CallError) {
        let (count, _) = self.found.entry((endpoint, state, error.code)).or_insert((0, error.message));
        *count += 1;
    }

    /// The most frequent first.
    pub(crate) fn by_frequency(self) -> Vec<Failure> {
        let failures = self.found.into_iter().map(|((endpoint, state, code), (executions, message))| {
            Failure { endpoint, state, code, executions, message }
        });
        sorted(failures.collect())
    }
}

/// The most frequent first; what is as frequent comes in the order of endpoint, state and code.
pub(crate) fn sorted(mut failures: Vec<Failure>) -> Vec<Failure> {
    failures.sort_by(|one, other| {
        let order = |failure: &Failure| (failure.endpoint.clone(), failure.state, failure.code.to_string());
        other.executions.cmp(&one.executions).then_with(|| order(one).cmp(&order(other)))
    });
    failures
}

/// What kept an execution from its answer: its error, or, if only its time ran out, what its last attempt had met.
/// `attempts` are the latest first.
pub(crate) fn cause<'a>(
    error: &CallError,
    mut attempts: impl Iterator<Item = &'a AttemptRecord>,
) -> CallError {
    if error.code != ErrorCode::DeadlinePassed {
        return error.clone();
    }
    let met = attempts.find_map(|attempt| {
        attempt.error.as_ref().filter(|error| !attempt.late && error.code != ErrorCode::DeadlinePassed)
    });
    met.unwrap_or(error).clone()
}
