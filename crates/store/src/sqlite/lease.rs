//! Leases after the claim: renewed, check-pointed, given back, reaped (L3, L7).

use std::time::Duration;

use beacon_domain::{ExecutionId, ExecutionState, JobId, LeaseKey, Parting, Reaped, Renewed, ResumeToken};
use beacon_spec::Timestamp;
use rusqlite::params;

use super::{
    codec::{at, micros},
    record::{Ended, Held},
    writer::{Fault, Writer},
};
use crate::rules::{MOST_EXPIRIES, loss, poison_error};

impl Writer {
    /// See [`beacon_domain::WorkQueue::renew`].
    pub(crate) fn renew(
        &mut self,
        leases: &[LeaseKey],
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, Fault> {
        const RENEW: &str = "-- lease::renew
            UPDATE executions SET lease_until = ?3 WHERE job = ?1 AND n = ?2";
        let until = now.checked_add(lease).unwrap_or(Timestamp::MAX);
        let mut renewed = Vec::with_capacity(leases.len());
        for key in leases {
            let Some(held) = self.held(*key)? else {
                renewed.push(Renewed::Lost(beacon_domain::LossReason::Reclaimed));
                continue;
            };
            if !is_held(&held, *key) {
                renewed.push(Renewed::Lost(loss(held.state)));
                continue;
            }
            let mut renew = self.connection.prepare_cached(RENEW)?;
            renew.execute(params![held.job, key.execution.n, micros(until)])?;
            renewed.push(Renewed::Kept(until));
        }
        Ok(renewed)
    }

    /// See [`beacon_domain::WorkQueue::checkpoint`].
    pub(crate) fn checkpoint(&mut self, lease: LeaseKey, token: &ResumeToken) -> Result<bool, Fault> {
        const SAVE: &str = "-- lease::checkpoint
            UPDATE executions SET resume = ?4 WHERE job = (SELECT no FROM jobs WHERE id = ?1) AND n = ?2
                AND token = ?3 AND state = 'running'";
        let ExecutionId { job, n } = lease.execution;
        let mut save = self.connection.prepare_cached(SAVE)?;
        Ok(save.execute(params![job.as_bytes(), n, lease.token as i64, token.0])? == 1)
    }

    /// See [`beacon_domain::WorkQueue::give_back`]. A call that is check-pointed stays the same attempt.
    pub(crate) fn give_back(
        &mut self,
        leases: &[LeaseKey],
        parting: Parting,
        now: Timestamp,
    ) -> Result<u32, Fault> {
        let mut given = 0;
        for key in leases {
            let Some(held) = self.held(*key)? else { continue };
            if is_held(&held, *key) {
                self.return_held(&held, *key, now)?;
                given += 1;
            } else {
                self.let_go(held.job, *key)?;
            }
            if parting == Parting::Abandoned {
                self.abandon(*key, now, now)?;
            }
        }
        Ok(given)
    }

    fn return_held(&mut self, held: &Held, key: LeaseKey, now: Timestamp) -> Result<(), Fault> {
        const BACK: &str = "-- lease::give_back
            UPDATE executions SET state = 'queued', not_before = max(?3, 0), worker = NULL, lease_until = NULL,
                attempts = attempts - (resume IS NULL) WHERE job = ?1 AND n = ?2";
        if held.reason.is_some() {
            self.end_unfinished(held, key.execution.n)?;
            self.batch_moved(held, now)?;
        } else {
            let mut back = self.connection.prepare_cached(BACK)?;
            back.execute(params![held.job, key.execution.n, micros(now)])?;
            drop(back);
            self.count_back(held)?;
        }
        self.wake_queue();
        self.wake_job(key.execution.job);
        Ok(())
    }

    /// See [`beacon_domain::WorkQueue::reap`].
    pub(crate) fn reap(&mut self, n: u32, now: Timestamp) -> Result<Reaped, Fault> {
        const LATE: &str = "-- lease::late_jobs
            SELECT no FROM jobs WHERE ended_at IS NULL AND deadline <= ?1 ORDER BY deadline LIMIT ?2";
        let mut reaped = Reaped::default();
        self.forget_abandoned(now)?;
        let mut query = self.connection.prepare_cached(LATE)?;
        let late = query
            .query_map(params![micros(now), n], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        drop(query);
        for job in late {
            let head = self.head_by_no(job)?;
            let (timed_out, ended) = self.time_out(&head, now)?;
            reaped.timed_out += timed_out;
            ended.report(&mut reaped.batches_done, &mut reaped.jobs_ended);
        }
        self.return_expired(n, now, &mut reaped)?;
        Ok(reaped)
    }

    fn return_expired(&mut self, n: u32, now: Timestamp, reaped: &mut Reaped) -> Result<(), Fault> {
        const EXPIRED: &str = "-- lease::expired
            SELECT id, n, token, expiries + (lease_until > 0), iif(lease_until > 0, lease_until, ?1) FROM executions JOIN jobs ON no = job
            WHERE lease_until <= ?1 ORDER BY lease_until LIMIT ?2";
        let mut query = self.connection.prepare_cached(EXPIRED)?;
        let expired = query.query_map(params![micros(now), n], |row| {
            let execution = ExecutionId { job: JobId::from_bytes(row.get(0)?), n: row.get(1)? };
            let key = LeaseKey { execution, token: row.get::<_, i64>(2)? as u64 };
            Ok((key, row.get::<_, u32>(3)?, at(row.get(4)?)))
        })?;
        let expired = expired.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(query);
        for (key, expiries, ended) in expired {
            self.expire(key, expiries, now, reaped)?;
            // Its worker is gone, or stands still; its endpoint may not have noticed. The lease's end is the last time at which
            // the worker surely was there, so that it does not matter how late we are. The end of an orphan's is not known.
            self.abandon(key, ended, now)?;
        }
        Ok(())
    }

    /// The call of an execution that was ended meanwhile is gone: its slot is free (S1).
    pub(crate) fn let_go(&mut self, job: i64, lease: LeaseKey) -> Result<(), Fault> {
        const LET_GO: &str = "-- lease::let_go
            UPDATE executions SET worker = NULL, lease_until = NULL
            WHERE job = ?1 AND n = ?2 AND token = ?3 AND state <> 'running' AND lease_until IS NOT NULL";
        let mut let_go = self.connection.prepare_cached(LET_GO)?;
        if let_go.execute(params![job, lease.execution.n, lease.token as i64])? > 0 {
            drop(let_go);
            self.wake_queue();
        }
        Ok(())
    }

    fn expire(
        &mut self,
        key: LeaseKey,
        expiries: u32,
        now: Timestamp,
        reaped: &mut Reaped,
    ) -> Result<(), Fault> {
        const BACK: &str = "-- lease::return
            UPDATE executions SET state = 'queued', not_before = 0, worker = NULL, lease_until = NULL,
                expiries = ?3 WHERE job = ?1 AND n = ?2";
        let Some(held) = self.held(key)? else { return Ok(()) };
        if !is_held(&held, key) {
            return self.let_go(held.job, key);
        }
        let n = key.execution.n;
        self.wake_queue();
        self.wake_job(key.execution.job);
        if held.reason.is_none() && expiries < MOST_EXPIRIES {
            self.connection.prepare_cached(BACK)?.execute(params![held.job, n, expiries])?;
            reaped.leases_returned += 1;
            return self.count_back(&held);
        }
        if held.reason.is_some() {
            self.end_unfinished(&held, n)?;
        } else {
            let poison = poison_error();
            self.keep_result((held.job, n), &Ended { error: Some(&poison), ..Ended::default() })?;
            self.end_execution(&held, n, ExecutionState::Failed)?;
        }
        let ended = self.batch_moved(&held, now)?;
        ended.report(&mut reaped.batches_done, &mut reaped.jobs_ended);
        Ok(())
    }
}

fn is_held(held: &Held, key: LeaseKey) -> bool {
    held.state == ExecutionState::Running && held.token == key.token as i64
}
