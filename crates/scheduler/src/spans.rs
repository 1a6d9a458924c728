//! The spans of an attempt, for whoever exports them (O4): which cell, where, and what came of it. Never what was asked or
//! answered. Nothing is computed while nobody wants spans.

use beacon_domain::{Lease, Outcome, SPANS, SpanId};
use tracing::{Span, debug_span, field::Empty};

use crate::execute::Called;

/// One claim of an execution, below the span of its job's acceptance, which another process may have had.
pub(crate) fn attempt(lease: &Lease) -> Span {
    let execution = lease.key.execution;
    debug_span!(
        target: SPANS, "attempt",
        job = %execution.job, execution = execution.n, question = %lease.question, model = %lease.request.model,
        region = %lease.request.region, endpoint = %lease.endpoint, attempt = lease.attempt,
        resumed = lease.resume.is_some(), span_id = %lease.span(), parent_id = %SpanId::of_job(execution.job),
        outcome = Empty, error_code = Empty,
    )
}

/// The time at the endpoint.
pub(crate) fn call() -> Span {
    debug_span!(target: SPANS, "call", kind = "client")
}

/// The time until the outcome is durable.
pub(crate) fn record() -> Span {
    debug_span!(target: SPANS, "record")
}

/// What came of the attempt whose span this is.
pub(crate) fn ended(span: &Span, called: &Called) {
    span.record("outcome", outcome(called));
    if let Called::Ended(recording, _) = called
        && let Some(error) = &recording.attempt.error
    {
        span.record("error_code", tracing::field::display(error.code));
    }
}

/// In one word.
pub(crate) const fn outcome(called: &Called) -> &'static str {
    match called {
        Called::Ended(recording, _) => match recording.outcome {
            Outcome::Completed { .. } => "completed",
            Outcome::Failed { .. } => "failed",
            Outcome::TimedOut { .. } => "timed_out",
            Outcome::Retry { .. } => "retry",
        },
        Called::Left => "left",
        Called::NotMade => "given_back",
    }
}
