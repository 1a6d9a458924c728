//! Recording: what came of attempts, guarded by the fencing token and by the results' key (L3).

use std::collections::BTreeSet;

use beacon_domain::{
    Answer, CallError, EndReason, ExecutionState, JobId, LeaseKey, Outcome, Parting, RecordReport, Recorded,
    Recording,
};
use beacon_spec::{Receipt, Sha256Digest, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::{
    codec::{maybe_text, micros, reason, state, text},
    writer::{Fault, Writer},
};
use crate::rules::{self, MOST_MICROS, budget_error, day};

/// An execution as a holder of a lease finds it.
pub(crate) struct Held {
    pub(crate) job: i64,
    pub(crate) state: ExecutionState,
    pub(crate) token: i64,
    pub(crate) batch: i64,
    pub(crate) reason: Option<EndReason>,
}

/// What ended an execution.
#[derive(Debug, Default)]
pub(crate) struct Ended<'a> {
    pub(crate) answer: Option<&'a Answer>,
    pub(crate) error: Option<&'a CallError>,
    pub(crate) receipt: Option<&'a Receipt>,
    /// The attempt that did, if one did.
    pub(crate) by: Option<&'a Recording>,
}

impl Writer {
    /// See [`beacon_domain::WorkQueue::record`].
    pub(crate) fn record(&mut self, recordings: &[Recording], now: Timestamp) -> Result<RecordReport, Fault> {
        let mut report = RecordReport::default();
        for recording in recordings {
            let recorded = self.record_one(recording, now, &mut report)?;
            if recording.parting() == Parting::Abandoned {
                self.abandon(recording.lease, now, now)?;
            }
            report.recorded.push(recorded);
        }
        let jobs: BTreeSet<JobId> =
            recordings.iter().map(|recording| recording.lease.execution.job).collect();
        for job in jobs {
            let ended = self.end_if_over_budget(job, now)?;
            ended.report(&mut report.batches_done, &mut report.jobs_ended);
        }
        Ok(report)
    }

    fn record_one(
        &mut self,
        recording: &Recording,
        now: Timestamp,
        report: &mut RecordReport,
    ) -> Result<Recorded, Fault> {
        let Some(held) = self.held(recording.lease)? else { return Ok(Recorded::Lost) };
        let mine = held.state == ExecutionState::Running && held.token == recording.lease.token as i64;
        if !mine {
            return self.record_stale(recording, &held);
        }
        self.spend(recording, held.job, now)?;
        self.wake_job(recording.lease.execution.job);
        if let Outcome::Retry { not_before, counts } = &recording.outcome
            && held.reason.is_none()
        {
            self.keep_attempt(recording, held.job, false)?;
            self.requeue(recording, &held, micros(*not_before), *counts)?;
            return Ok(Recorded::Recorded);
        }
        self.end_attempted(recording, &held)?;
        let ended = self.batch_moved(&held, now)?;
        ended.report(&mut report.batches_done, &mut report.jobs_ended);
        Ok(Recorded::Recorded)
    }

    /// A lease that is not held any more: a replay, a late answer, or lost.
    fn record_stale(&mut self, recording: &Recording, held: &Held) -> Result<Recorded, Fault> {
        const KNOWN: &str = "-- record::known
            SELECT late FROM every_attempt WHERE job = ?1 AND n = ?2 AND number = ?3 AND token = ?4";
        let key = params![
            held.job,
            recording.lease.execution.n,
            recording.attempt.number,
            recording.lease.token as i64
        ];
        let known: Option<bool> =
            self.connection.prepare_cached(KNOWN)?.query_row(key, |row| row.get(0)).optional()?;
        match known {
            Some(true) => return Ok(Recorded::Late),
            Some(false) => return Ok(Recorded::Recorded),
            None => {}
        }
        if !matches!(held.state, ExecutionState::Cancelled | ExecutionState::TimedOut) {
            return Ok(Recorded::Lost);
        }
        self.keep_attempt(recording, held.job, true)?;
        self.let_go(held.job, recording.lease)?;
        self.wake_job(recording.lease.execution.job);
        Ok(Recorded::Late)
    }

    /// The execution behind a lease.
    pub(crate) fn held(&self, lease: LeaseKey) -> Result<Option<Held>, Fault> {
        const HELD: &str = "-- record::held
            SELECT no, executions.state, token, batch, reason FROM jobs JOIN executions ON job = no
            WHERE id = ?1 AND n = ?2";
        let mut query = self.connection.prepare_cached(HELD)?;
        let held = query.query_row(params![lease.execution.job.as_bytes(), lease.execution.n], |row| {
            Ok(Held {
                job: row.get(0)?,
                state: state(row, 1)?,
                token: row.get(2)?,
                batch: row.get(3)?,
                reason: reason(row, 4)?,
            })
        });
        Ok(held.optional()?)
    }

    fn keep_attempt(&self, recording: &Recording, job: i64, late: bool) -> Result<(), Fault> {
        const KEEP: &str = "-- record::attempt
            INSERT OR IGNORE INTO attempts (job, n, number, token, late, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let mut attempt = recording.attempt.clone();
        attempt.late = late;
        self.connection.prepare_cached(KEEP)?.execute(params![
            job,
            recording.lease.execution.n,
            attempt.number,
            recording.lease.token as i64,
            late,
            text(&attempt)?
        ])?;
        Ok(())
    }

    fn spend(&self, recording: &Recording, job: i64, now: Timestamp) -> Result<(), Fault> {
        const JOB: &str = "-- record::job_cost
            UPDATE jobs SET cost = cost + min(?2, ?3 - cost) WHERE no = ?1";
        const DAY: &str = "-- record::day_cost
            INSERT INTO spend (day, micros) VALUES (?1, ?2)
            ON CONFLICT (day) DO UPDATE SET micros = micros + min(excluded.micros, ?3 - micros)";
        let most = MOST_MICROS as i64;
        let cost = recording.attempt.usage.cost_micros.map_or(0, |cost| cost.min(MOST_MICROS) as i64);
        if cost > 0 {
            self.connection.prepare_cached(JOB)?.execute([job, cost, most])?;
            self.connection.prepare_cached(DAY)?.execute([day(now), cost, most])?;
        }
        Ok(())
    }

    fn requeue(
        &mut self,
        recording: &Recording,
        held: &Held,
        not_before: i64,
        counts: bool,
    ) -> Result<(), Fault> {
        const BACK: &str = "-- record::retry
            UPDATE executions SET state = 'queued', not_before = ?3, failures = failures + ?4,
                throttles = throttles + (1 - ?4), resume = NULL, worker = NULL, lease_until = NULL
            WHERE job = ?1 AND n = ?2";
        let n = recording.lease.execution.n;
        self.connection.prepare_cached(BACK)?.execute(params![held.job, n, not_before, i64::from(counts)])?;
        self.count_back(held)?;
        self.wake_queue();
        Ok(())
    }

    /// One running execution of a batch is queued again.
    pub(crate) fn count_back(&self, held: &Held) -> Result<(), Fault> {
        const COUNT: &str = "-- record::count_back
            UPDATE batches SET queued = queued + 1, running = running - 1 WHERE job = ?1 AND b = ?2";
        self.connection.prepare_cached(COUNT)?.execute([held.job, held.batch])?;
        Ok(())
    }

    fn end_attempted(&mut self, recording: &Recording, held: &Held) -> Result<(), Fault> {
        let n = recording.lease.execution.n;
        let budget = budget_error();
        let (state, ended) = match &recording.outcome {
            Outcome::Completed { answer, receipt } => (
                ExecutionState::Completed,
                Ended { answer: Some(answer), receipt: Some(receipt), ..Ended::default() },
            ),
            Outcome::Failed { error, receipt } => (
                ExecutionState::Failed,
                Ended { error: Some(error), receipt: Some(receipt), ..Ended::default() },
            ),
            Outcome::TimedOut { error, receipt } => (
                ExecutionState::TimedOut,
                Ended { error: Some(error), receipt: Some(receipt), ..Ended::default() },
            ),
            // Only a job that is ending comes here: nothing of it is tried again.
            Outcome::Retry { .. } => {
                (ExecutionState::Cancelled, Ended { error: Some(&budget), ..Ended::default() })
            }
        };
        self.keep_result((held.job, n), &Ended { by: Some(recording), ..ended })?;
        self.end_execution(held, n, state)
    }

    /// A running execution of a job that ran out of budget ends instead of going back to the queue.
    pub(crate) fn end_unfinished(&mut self, held: &Held, n: u32) -> Result<(), Fault> {
        let budget = budget_error();
        self.keep_result((held.job, n), &Ended { error: Some(&budget), ..Ended::default() })?;
        self.end_execution(held, n, ExecutionState::Cancelled)
    }

    /// The one terminal result of an execution (its job's number and its place); a second one breaks the key.
    pub(crate) fn keep_result(&self, (job, n): (i64, u32), ended: &Ended<'_>) -> Result<(), Fault> {
        const KEEP: &str = "-- record::result
            INSERT INTO results (job, n, token, receipt_hash, answer, error, receipt, attempt)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let token = ended.by.map(|recording| recording.lease.token as i64);
        let hash = ended.receipt.map(Receipt::hash);
        let hash = hash.as_ref().map(Sha256Digest::as_bytes);
        let [answer, error] = [maybe_text(ended.answer)?, maybe_text(ended.error)?];
        let [receipt, attempt] =
            [maybe_text(ended.receipt)?, maybe_text(ended.by.map(|recording| &recording.attempt))?];
        let values = params![job, n, token, hash, answer, error, receipt, attempt];
        self.connection.prepare_cached(KEEP)?.execute(values)?;
        Ok(())
    }

    /// A running execution ends.
    pub(crate) fn end_execution(&self, held: &Held, n: u32, state: ExecutionState) -> Result<(), Fault> {
        const END: &str = "-- record::end
            UPDATE executions SET state = ?3, worker = NULL, lease_until = NULL, resume = NULL
            WHERE job = ?1 AND n = ?2";
        const COUNT: &str = "-- record::count
            UPDATE batches SET running = running - 1, completed = completed + (?3 = 'completed'),
                failed = failed + (?3 = 'failed'), cancelled = cancelled + (?3 = 'cancelled'),
                timed_out = timed_out + (?3 = 'timed_out') WHERE job = ?1 AND b = ?2";
        self.connection.prepare_cached(END)?.execute(params![held.job, n, state.as_str()])?;
        self.connection.prepare_cached(COUNT)?.execute(params![held.job, held.batch, state.as_str()])?;
        Ok(())
    }

    /// Ends the batch if that was its last execution.
    pub(crate) fn batch_moved(&mut self, held: &Held, now: Timestamp) -> Result<rules::Ended, Fault> {
        const OPEN: &str = "-- record::open
            SELECT blocked + queued + running FROM batches WHERE job = ?1 AND b = ?2";
        let mut query = self.connection.prepare_cached(OPEN)?;
        let open: u32 = query.query_row([held.job, held.batch], |row| row.get(0))?;
        drop(query);
        if open > 0 { Ok(rules::Ended::default()) } else { self.settle_batch(held.job, held.batch, now) }
    }
}
