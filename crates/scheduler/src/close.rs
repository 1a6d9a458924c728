//! Closing: when a job has ended, one signed statement over all its receipts (L8).

use beacon_domain::{JobId, JobSummary, StoreError};
use beacon_spec::{CloseBody, MerkleRoot};
use tracing::info;

use crate::Ports;

const JOBS_AT_ONCE: u32 = 16;
const LEAVES_AT_ONCE: u32 = 5000;

/// Closes every ended job that has no close yet.
pub(crate) async fn close_ended(ports: &Ports) -> Result<(), StoreError> {
    for job in ports.jobs.unclosed(JOBS_AT_ONCE).await? {
        close(ports, job).await?;
    }
    Ok(())
}

async fn close(ports: &Ports, job: JobId) -> Result<(), StoreError> {
    let Some(summary) = ports.view.job(job).await? else {
        return Err(StoreError::UnknownJob(job));
    };
    let (receipts, root) = merkle_root(ports, job).await?;
    let now = ports.clock.now();
    // Before the close is kept: whoever dies in between is repeated, and then changes nothing.
    if let Some(webhooks) = &ports.webhooks {
        webhooks.job_ended(ports.view.as_ref(), &summary, (receipts, &root), now).await?;
    }
    let body = body(&summary, receipts, &root, now);
    ports.jobs.close(job, ports.signer.close(body)).await?;
    info!(job = %job, receipts, "closed job {} over {receipts} receipts", job.short());
    Ok(())
}

async fn merkle_root(ports: &Ports, job: JobId) -> Result<(u32, MerkleRoot), StoreError> {
    let mut root = MerkleRoot::new();
    let (mut count, mut after) = (0, None);
    loop {
        let leaves = ports.jobs.receipt_leaves(job, after, LEAVES_AT_ONCE).await?;
        let Some(last) = leaves.last() else { return Ok((count, root)) };
        after = Some(last.execution.n);
        for leaf in &leaves {
            root.push(leaf.hash);
            count += 1;
        }
    }
}

fn body(job: &JobSummary, receipts: u32, root: &MerkleRoot, now: beacon_spec::Timestamp) -> CloseBody {
    let counts = &job.counts;
    CloseBody {
        schema: "beacon-close/1".to_owned(),
        job: job.id.to_string(),
        spec_digest: job.spec_digest,
        state: job.state.to_string(),
        expected: counts.total(),
        completed: counts.completed,
        failed: counts.failed,
        cancelled: counts.cancelled,
        timed_out: counts.timed_out,
        unsupported: counts.unsupported,
        receipts,
        merkle_root: root.root(),
        ended_at: job.ended_at.unwrap_or(now),
    }
}
