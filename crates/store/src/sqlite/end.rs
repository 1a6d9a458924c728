//! How batches and jobs end: always in the transaction that ends their last execution (L5).

use std::time::Duration;

use beacon_domain::{
    BatchDone, Batching, CancelReason, Cancelled, EndReason, JobEnded, JobId, JobState, StateCounts,
    StoreError, Verdict,
};
use beacon_spec::{Question, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::{
    codec::{batching, counts, json, maybe_time, micros, reason, state},
    writer::{Fault, Writer},
};
use crate::rules::Ended;

pub(crate) struct JobHead {
    pub(crate) no: i64,
    pub(crate) id: JobId,
    pub(crate) state: JobState,
    pub(crate) reason: Option<EndReason>,
    pub(crate) batching: Batching,
}

/// The columns of a job's counts over its batches.
pub(crate) const SUMS: &str = "-- end::sums
    SELECT sum(blocked), sum(queued), sum(running), sum(completed), sum(failed), sum(cancelled), sum(timed_out),
        sum(unsupported) FROM batches WHERE job = ?1 HAVING count(*) > 0";

impl Writer {
    /// Opens what may be open now, and ends every batch that has nothing open, and the job if that was all.
    pub(crate) fn settle(&mut self, head: &JobHead, now: Timestamp) -> Result<Ended, Fault> {
        const NEXT: &str = "-- end::next_batch
            SELECT b, state, blocked, queued + running FROM batches INDEXED BY batches_undone
            WHERE job = ?1 AND state <> 'done' AND b > ?2 ORDER BY b LIMIT 1";
        let mut ended = Ended::default();
        let mut last = -1;
        loop {
            let mut query = self.connection.prepare_cached(NEXT)?;
            let next: Option<(i64, String, u32, u32)> = query
                .query_row([head.no, last], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .optional()?;
            drop(query);
            let Some((b, state, blocked, open)) = next else { break };
            if state == "blocked" {
                self.open_batch(head.no, b, now)?;
            }
            if blocked + open == 0 {
                ended.batches.push(self.end_batch(head, b, now)?);
            } else if head.batching == Batching::Question {
                return Ok(ended);
            }
            last = b;
        }
        ended.jobs.extend(self.end_job_if_done(head, now)?);
        Ok(ended)
    }

    /// A batch has nothing open any more: ends it, and opens the next one or ends the job.
    pub(crate) fn settle_batch(&mut self, job: i64, b: i64, now: Timestamp) -> Result<Ended, Fault> {
        let head = self.head_by_no(job)?;
        if head.batching == Batching::Question {
            // It is the first one that is not done.
            return self.settle(&head, now);
        }
        let batches = vec![self.end_batch(&head, b, now)?];
        let jobs = self.end_job_if_done(&head, now)?.into_iter().collect();
        Ok(Ended { batches, jobs, opened: false })
    }

    fn end_job_if_done(&mut self, head: &JobHead, now: Timestamp) -> Result<Option<JobEnded>, Fault> {
        const UNDONE: &str = "-- end::undone
            SELECT EXISTS (SELECT 1 FROM batches INDEXED BY batches_undone WHERE job = ?1 AND state <> 'done')";
        let undone = self.connection.prepare_cached(UNDONE)?.query_row([head.no], |row| row.get(0))?;
        if undone { Ok(None) } else { self.end_job(head, now).map(Some) }
    }

    fn open_batch(&mut self, job: i64, b: i64, now: Timestamp) -> Result<(), Fault> {
        const ROWS: &str = "-- end::open_rows
            UPDATE executions SET state = 'queued', queued_at = ?3 WHERE job = ?1 AND batch = ?2 AND state = 'blocked'
            AND n >= (SELECT first FROM batches WHERE job = ?1 AND b = ?2)
            AND n < coalesce((SELECT first FROM batches WHERE job = ?1 AND b = ?2 + 1), 1 << 40)";
        const BATCH: &str = "-- end::open_batch
            UPDATE batches SET state = 'open', queued = queued + blocked, blocked = 0 WHERE job = ?1 AND b = ?2";
        self.connection.prepare_cached(ROWS)?.execute(params![job, b, micros(now)])?;
        self.connection.prepare_cached(BATCH)?.execute(params![job, b])?;
        self.wake_queue();
        Ok(())
    }

    /// Marks a batch done that has nothing open.
    pub(crate) fn end_batch(&mut self, head: &JobHead, b: i64, now: Timestamp) -> Result<BatchDone, Fault> {
        const DONE: &str = "-- end::batch_done
            UPDATE batches SET state = 'done', ended_at = ?3 WHERE job = ?1 AND b = ?2
            RETURNING question, started_at, blocked, queued, running, completed, failed, cancelled, timed_out,
                unsupported, (SELECT batch_count FROM jobs WHERE no = ?1)";
        let mut update = self.connection.prepare_cached(DONE)?;
        let done = update.query_row(params![head.no, b, micros(now)], |row| {
            let started = maybe_time(row, 1)?;
            let duration = started.and_then(|started| Duration::try_from(now.duration_since(started)).ok());
            Ok(BatchDone {
                job: head.id,
                question: json::<Question>(row, 0)?.id,
                number: b as u32 + 1,
                total: row.get(10)?,
                counts: counts(row, 2)?,
                duration: duration.unwrap_or_default(),
            })
        })?;
        Ok(done)
    }

    fn end_job(&mut self, head: &JobHead, now: Timestamp) -> Result<JobEnded, Fault> {
        const MINIMA: &str = "-- end::minima
            SELECT min_success_rate, min_regions, reason,
                (SELECT count(DISTINCT region) FROM executions WHERE job = ?1 AND state = 'completed')
            FROM jobs WHERE no = ?1";
        const END: &str = "-- end::job
            UPDATE jobs SET state = ?2, verdict = ?3, ended_at = ?4 WHERE no = ?1";
        let counts = self.job_counts(head.no)?;
        let mut query = self.connection.prepare_cached(MINIMA)?;
        let (rate, minimum, reason, answered) =
            query.query_row([head.no], |row| Ok((row.get(0)?, row.get(1)?, reason(row, 2)?, row.get(3)?)))?;
        let state = JobState::at_end(&counts, reason);
        let verdict = Verdict::of(&counts, answered, rate, minimum);
        drop(query);
        let verdict = i64::from(verdict == Verdict::Met);
        let mut end = self.connection.prepare_cached(END)?;
        end.execute(params![head.no, state.as_str(), verdict, micros(now)])?;
        drop(end);
        self.frozen.remove(&head.no);
        self.wake_job(head.id);
        self.wake_queue();
        Ok(JobEnded { job: head.id, state, counts, reason })
    }

    fn job_counts(&self, job: i64) -> Result<StateCounts, Fault> {
        let mut query = self.connection.prepare_cached(SUMS)?;
        Ok(query.query_row([job], |row| counts(row, 0)).optional()?.unwrap_or_default())
    }

    /// See [`beacon_domain::JobStore::cancel`].
    pub(crate) fn cancel(
        &mut self,
        job: JobId,
        why: &CancelReason,
        now: Timestamp,
    ) -> Result<(Cancelled, Ended), Fault> {
        const REASON: &str = "-- end::reason
            UPDATE jobs SET reason = ?2, ended_by = ?3 WHERE no = ?1";
        let head = self.head(job)?.ok_or(StoreError::UnknownJob(job))?;
        if head.state.is_terminal() {
            let (state, reason) = (head.state, head.reason);
            let cancelled = Cancelled { already_ended: true, state, waiting: 0, in_flight: 0, reason };
            return Ok((cancelled, Ended::default()));
        }
        let (reason, by) = match why {
            CancelReason::By(by) => (EndReason::Cancel, Some(by)),
            CancelReason::Budget => (EndReason::Budget, None),
        };
        self.connection.prepare_cached(REASON)?.execute(params![head.no, reason.as_str(), by])?;
        let before = self.job_counts(head.no)?;
        self.end_waiting(&head, "cancelled", now)?;
        if reason == EndReason::Cancel {
            self.end_running(&head, "cancelled")?;
        }
        let ended = self.settle(&head, now)?;
        self.wake_queue();
        self.wake_job(job);
        let cancelled = Cancelled {
            already_ended: false,
            state: ended.jobs.first().map_or(head.state, |ended| ended.state),
            waiting: before.blocked + before.queued,
            in_flight: before.running,
            reason: Some(reason),
        };
        Ok((cancelled, ended))
    }

    /// Ends a job whose cost has reached its cap (O3).
    pub(crate) fn end_if_over_budget(&mut self, job: JobId, now: Timestamp) -> Result<Ended, Fault> {
        const OVER: &str = "-- end::over_budget
            SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND reason IS NULL AND ended_at IS NULL AND cost >= cost_cap)";
        let over = self.connection.prepare_cached(OVER)?.query_row([job.as_bytes()], |row| row.get(0))?;
        if over { Ok(self.cancel(job, &CancelReason::Budget, now)?.1) } else { Ok(Ended::default()) }
    }

    /// Ends every open execution of a job whose deadline has passed.
    pub(crate) fn time_out(&mut self, head: &JobHead, now: Timestamp) -> Result<(u32, Ended), Fault> {
        const REASON: &str = "-- end::deadline
            UPDATE jobs SET reason = 'deadline' WHERE no = ?1";
        self.connection.prepare_cached(REASON)?.execute([head.no])?;
        let open = self.job_counts(head.no)?.open();
        self.end_waiting(head, "timed_out", now)?;
        self.end_running(head, "timed_out")?;
        self.wake_queue();
        Ok((open, self.settle(head, now)?))
    }

    fn end_waiting(&self, head: &JobHead, state: &str, now: Timestamp) -> Result<(), Fault> {
        const ROWS: &str = "-- end::waiting
            UPDATE executions SET state = ?2, resume = NULL WHERE job = ?1 AND state IN ('blocked', 'queued')";
        const CANCELLED: &str = "-- end::waiting_cancelled
            UPDATE batches SET cancelled = cancelled + blocked + queued, blocked = 0, queued = 0 WHERE job = ?1";
        const TIMED_OUT: &str = "-- end::waiting_timed_out
            UPDATE batches SET timed_out = timed_out + blocked + queued, blocked = 0, queued = 0 WHERE job = ?1";
        self.connection.prepare_cached(ROWS)?.execute(params![head.no, state])?;
        let counts = if state == "cancelled" { CANCELLED } else { TIMED_OUT };
        self.connection.prepare_cached(counts)?.execute([head.no])?;
        self.not_found_again(head.no, now)
    }

    /// Their calls go on until their workers hear of it; `lease_until` stays, and their slots are not free before (S1).
    fn end_running(&self, head: &JobHead, state: &str) -> Result<(), Fault> {
        const ROWS: &str = "-- end::running
            UPDATE executions SET state = ?2, resume = NULL WHERE job = ?1 AND state = 'running'";
        const CANCELLED: &str = "-- end::running_cancelled
            UPDATE batches SET cancelled = cancelled + running, running = 0 WHERE job = ?1";
        const TIMED_OUT: &str = "-- end::running_timed_out
            UPDATE batches SET timed_out = timed_out + running, running = 0 WHERE job = ?1";
        self.connection.prepare_cached(ROWS)?.execute(params![head.no, state])?;
        let counts = if state == "cancelled" { CANCELLED } else { TIMED_OUT };
        self.connection.prepare_cached(counts)?.execute([head.no])?;
        Ok(())
    }

    /// A job by its id.
    pub(crate) fn head(&self, job: JobId) -> Result<Option<JobHead>, Fault> {
        const HEAD: &str = "-- end::head
            SELECT no, id, state, reason, batching FROM jobs WHERE id = ?1";
        Ok(self.connection.prepare_cached(HEAD)?.query_row([job.as_bytes()], head).optional()?)
    }

    /// A job by its number.
    pub(crate) fn head_by_no(&self, job: i64) -> Result<JobHead, Fault> {
        const HEAD: &str = "-- end::head_by_no
            SELECT no, id, state, reason, batching FROM jobs WHERE no = ?1";
        Ok(self.connection.prepare_cached(HEAD)?.query_row([job], head)?)
    }
}

fn head(row: &rusqlite::Row<'_>) -> rusqlite::Result<JobHead> {
    Ok(JobHead {
        no: row.get(0)?,
        id: JobId::from_bytes(row.get(1)?),
        state: state(row, 2)?,
        reason: reason(row, 3)?,
        batching: batching(row, 4)?,
    })
}
