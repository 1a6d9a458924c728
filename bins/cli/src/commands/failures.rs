//! Why executions ended without an answer, for people.

use beacon_domain::{EndpointId, ExecutionState, Failure};

use super::line;
use crate::out::OutputError;

/// Reasons printed; `beacon results` has all of them.
const MOST: usize = 10;

/// Prints the most frequent reasons.
pub(crate) fn print(failures: &[Failure]) -> Result<(), OutputError> {
    for failure in failures.iter().take(MOST) {
        let endpoint = failure.endpoint.as_ref().map_or("no endpoint", EndpointId::as_str);
        let ended = if failure.state == ExecutionState::TimedOut { "timed out" } else { "failed" };
        let message = beacon_boot::harmless(&failure.message);
        line(format_args!("  {:>5} {ended} on {endpoint}: {}: {message}", failure.executions, failure.code))?;
    }
    if failures.len() > MOST {
        line(format_args!("        and {} more reasons", failures.len() - MOST))?;
    }
    Ok(())
}
