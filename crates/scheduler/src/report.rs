//! The log events that tell how a job goes. Each reads well alone and carries its ids as fields.

use beacon_domain::{BatchDone, BatchStarted, JobEnded};
use tracing::info;

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
