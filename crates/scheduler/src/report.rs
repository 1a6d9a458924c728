//! The log events that tell how a job goes. Each reads well alone and carries its ids as fields.

use std::{error::Error, fmt};

use beacon_domain::{BatchDone, BatchStarted, JobEnded, StoreError};
use tracing::info;

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
        let gap_ms = batch.gap.map(|gap| gap.as_millis());
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
            duration_ms = batch.duration.as_millis(),
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
