//! The log events that tell how a job goes. Each reads well alone and carries its ids as fields.

use std::{error::Error, fmt, time::Duration};

use beacon_domain::{BatchDone, BatchStarted, CallError, EndpointId, JobEnded, Lease, Stage, StoreError};
use tracing::{debug, info, warn};

use crate::{execute::Called, spans};

/// An error with everything that led to it, in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a StoreError);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// A question batch starts.
pub(crate) fn started(batches: &[BatchStarted]) {
    for batch in batches {
        let gap_ms = batch.gap.map(whole_ms);
        info!(
            job = %batch.job, question = %batch.question, number = batch.number, total = batch.total,
            executions = batch.executions, gap_ms,
            "starting question batch"
        );
    }
}

/// Question batches are done, jobs have ended.
pub(crate) fn changes(batches: &[BatchDone], jobs: &[JobEnded]) {
    for batch in batches {
        info!(
            job = %batch.job, question = %batch.question, number = batch.number, total = batch.total,
            executions = batch.counts.total(), completed = batch.counts.completed,
            duration_ms = whole_ms(batch.duration),
            "question batch completed"
        );
    }
    for job in jobs {
        info!(
            job = %job.job, state = %job.state, executions = job.counts.total(), completed = job.counts.completed,
            "job {} ended {}: {} of {} executions completed",
            job.job.short(), job.state, job.counts.completed, job.counts.total()
        );
    }
}

/// An attempt is over. A provider's own text stays out of the log.
pub(crate) fn attempt(lease: &Lease, called: &Called) {
    let execution = lease.key.execution;
    debug!(
        job = %execution.job, %execution, endpoint = %lease.endpoint, attempt = lease.attempt, span_id = %lease.span(),
        outcome = spans::outcome(called),
        "attempt {} of {execution} at {}: {}", lease.attempt, lease.endpoint, spans::outcome(called)
    );
}

/// An endpoint is left alone from now on. A provider's own text, which may quote a prompt, stays out of the log.
pub(crate) fn outage_began(endpoint: &EndpointId, error: &CallError) {
    let code = error.code;
    let ours = if error.stage == Stage::Connect { format!(": {}", error.message) } else { String::new() };
    warn!(
        %endpoint, %code,
        "endpoint {endpoint} keeps failing ({code}{ours}); its executions wait, and single calls try it"
    );
}

/// It is called as before.
pub(crate) fn outage_ended(endpoint: &EndpointId) {
    warn!(%endpoint, "endpoint {endpoint} answers again");
}

/// JSON logs write 128-bit numbers as text.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
