//! Ending a whole job early: a cancel, its cost cap, its deadline. The job is held alone meanwhile.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{CancelReason, Cancelled, EndReason, JobEnded, JobId, StoreError};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    abandoned::not_found_again,
    codec::At,
    end::{Head, head, job_counts, settle},
    error::Fault,
    locks::{lock_job_rows, lock_jobs},
    store::Core,
    transaction::{Kind, Tx, Work},
};
use crate::rules::Ended;

/// See [`beacon_domain::JobStore::cancel`].
pub(crate) struct Cancel<'a> {
    pub(crate) core: &'a Core,
    pub(crate) job: JobId,
    pub(crate) why: &'a CancelReason,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Work for Cancel<'_> {
    type Output = Cancelled;
    const NAME: &'static str = "cancel";
    const KIND: Kind = Kind::WholeJob;
    const REPLAYABLE: bool = false;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Cancelled, Fault> {
        let numbers = self.core.job_numbers(tx, [self.job]).await?;
        let job = *numbers.get(&self.job).ok_or(StoreError::UnknownJob(self.job))?;
        lock_jobs(tx, [], &[job].into()).await?;
        lock_job_rows(tx, &[job].into()).await?;
        Ok(end_early(tx, job, self.why, self.now).await?.0)
    }
}

/// Ends a job that is held alone, with its row.
pub(crate) async fn end_early(
    tx: &Tx,
    job: i64,
    why: &CancelReason,
    now: Timestamp,
) -> Result<(Cancelled, Ended), Fault> {
    const REASON: &str = "-- cancel::reason
        UPDATE beacon.jobs SET reason = $2, ended_by = $3 WHERE no = $1";
    let head = head(tx, job).await?;
    if head.state.is_terminal() {
        let (state, reason) = (head.state, head.reason);
        let cancelled = Cancelled { already_ended: true, state, waiting: 0, in_flight: 0, reason };
        return Ok((cancelled, Ended::default()));
    }
    let (reason, by) = match why {
        CancelReason::By(by) => (EndReason::Cancel, Some(by.as_str())),
        CancelReason::Budget => (EndReason::Budget, None),
    };
    let name = reason.as_str();
    tx.execute(REASON, &[(&job, Type::INT8), (&name, Type::TEXT), (&by, Type::TEXT)]).await?;
    let before = job_counts(tx, job).await?;
    end_waiting(tx, &head, "cancelled", now).await?;
    if reason == EndReason::Cancel {
        end_running(tx, &head, "cancelled").await?;
    }
    let ended = settle(tx, &head, now).await?;
    let cancelled = Cancelled {
        already_ended: false,
        state: ended.jobs.first().map_or(head.state, |ended: &JobEnded| ended.state),
        waiting: before.blocked + before.queued,
        in_flight: before.running,
        reason: Some(reason),
    };
    Ok((cancelled, ended))
}

/// Ends every open execution of a job whose deadline has passed.
pub(crate) struct TimeOut {
    pub(crate) job: i64,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Work for TimeOut {
    type Output = (u32, Ended);
    const NAME: &'static str = "deadline";
    const KIND: Kind = Kind::WholeJob;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(u32, Ended), Fault> {
        const REASON: &str = "-- cancel::deadline
            UPDATE beacon.jobs SET reason = 'deadline' WHERE no = $1 AND ended_at IS NULL AND deadline <= $2";
        lock_jobs(tx, [], &[self.job].into()).await?;
        lock_job_rows(tx, &[self.job].into()).await?;
        let now = At::from(self.now);
        if tx.execute(REASON, &[(&self.job, Type::INT8), (&now, Type::TIMESTAMPTZ)]).await? == 0 {
            // Somebody else was faster, or the job has ended.
            return Ok((0, Ended::default()));
        }
        let head = head(tx, self.job).await?;
        let open = job_counts(tx, self.job).await?.open();
        end_waiting(tx, &head, "timed_out", self.now).await?;
        end_running(tx, &head, "timed_out").await?;
        Ok((open, settle(tx, &head, self.now).await?))
    }
}

async fn end_waiting(tx: &Tx, head: &Head, state: &'static str, now: Timestamp) -> Result<(), Fault> {
    const ROWS: &str = "-- cancel::waiting
        UPDATE beacon.executions SET state = $2, resume = NULL WHERE job = $1 AND state IN ('blocked', 'queued')";
    const COUNTS: &str = "-- cancel::waiting_counts
        UPDATE beacon.batches SET cancelled = cancelled + CASE WHEN $2 = 'cancelled' THEN blocked + queued ELSE 0 END,
            timed_out = timed_out + CASE WHEN $2 = 'timed_out' THEN blocked + queued ELSE 0 END, blocked = 0, queued = 0
        WHERE job = $1 AND state <> 'done'";
    let values = [(&head.no as _, Type::INT8), (&state as _, Type::TEXT)];
    tx.execute(ROWS, &values).await?;
    tx.execute(COUNTS, &values).await?;
    not_found_again(tx, head.no, now).await
}

/// Their calls go on until their workers hear of it; `worker` stays, and their slots are not free before (S1).
async fn end_running(tx: &Tx, head: &Head, state: &'static str) -> Result<(), Fault> {
    const ROWS: &str = "-- cancel::running
        UPDATE beacon.executions SET state = $2, resume = NULL WHERE job = $1 AND state = 'running'";
    const COUNTS: &str = "-- cancel::running_counts
        UPDATE beacon.batches SET cancelled = cancelled + CASE WHEN $2 = 'cancelled' THEN running ELSE 0 END,
            timed_out = timed_out + CASE WHEN $2 = 'timed_out' THEN running ELSE 0 END, running = 0
        WHERE job = $1 AND state <> 'done'";
    let values = [(&head.no as _, Type::INT8), (&state as _, Type::TEXT)];
    tx.execute(ROWS, &values).await?;
    tx.execute(COUNTS, &values).await?;
    Ok(())
}
