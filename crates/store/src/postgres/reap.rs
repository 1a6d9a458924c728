//! Expired leases go back to the queue, and jobs past their deadline end (L7). Any number of reapers may run.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use beacon_domain::{ExecutionState, Reaped};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    abandoned::{abandon_since, forget},
    codec::{At, int, named},
    counts::Deltas,
    end::settle_batches,
    error::Fault,
    locks::lock_jobs,
    record::Cell,
    result::{Ended, Results},
    transaction::{Kind, Tx, Work},
};
use crate::rules::{MOST_EXPIRIES, budget_error, poison_error};

/// The jobs whose deadline has passed.
pub(crate) struct LateJobs {
    pub(crate) n: u32,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Work for LateJobs {
    type Output = Vec<i64>;
    const NAME: &'static str = "late_jobs";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<i64>, Fault> {
        const LATE: &str = "-- reap::late_jobs
            SELECT no FROM beacon.jobs WHERE ended_at IS NULL AND deadline <= $1 ORDER BY deadline, no LIMIT $2";
        let (now, most) = (At::from(self.now), i64::from(self.n));
        let lines = tx.rows(LATE, &[(&now, Type::TIMESTAMPTZ), (&most, Type::INT8)]).await?;
        lines.iter().map(|line| line.get(0)).collect()
    }
}

/// Returns expired leases. What another reaper or a recording holds now is left to it.
pub(crate) struct Expired {
    pub(crate) n: u32,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Work for Expired {
    type Output = Reaped;
    const NAME: &'static str = "expired";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, alone: &BTreeSet<i64>) -> Result<Reaped, Fault> {
        const JOBS: &str = "-- reap::jobs
            SELECT DISTINCT job FROM (SELECT job FROM beacon.executions WHERE worker IS NOT NULL AND state = 'running' AND lease_until <= $1
                ORDER BY lease_until, job, n LIMIT $2) AS expired";
        // Calls of ended executions whose workers never said that they are gone.
        const LET_GO: &str = "-- reap::let_go
            WITH gone AS MATERIALIZED (SELECT job, n, lease_until AS ended FROM beacon.executions
                WHERE worker IS NOT NULL AND state <> 'running' AND lease_until <= $1
                ORDER BY job, n FOR NO KEY UPDATE SKIP LOCKED)
            UPDATE beacon.executions SET worker = NULL, lease_until = NULL FROM gone
            WHERE executions.job = gone.job AND executions.n = gone.n
            RETURNING executions.job, executions.n, token, ended";
        const RETURN: &str = "-- reap::return
            WITH expired AS MATERIALIZED (SELECT job, n, lease_until AS ended FROM beacon.executions
                WHERE worker IS NOT NULL AND state = 'running' AND lease_until <= $1 AND job = ANY($3)
                ORDER BY lease_until, job, n LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
            UPDATE beacon.executions SET expiries = expiries + 1, worker = NULL, lease_until = NULL,
                state = CASE WHEN reason IS NOT NULL THEN 'cancelled' WHEN expiries + 1 >= $4 THEN 'failed' ELSE 'queued' END,
                not_before = '1970-01-01 00:00:00.000001+00',
                resume = CASE WHEN reason IS NULL AND expiries + 1 < $4 THEN resume END
            FROM expired JOIN beacon.jobs ON no = expired.job
            WHERE executions.job = expired.job AND executions.n = expired.n
            RETURNING executions.job, executions.n, executions.batch, executions.state, executions.token,
                expired.ended";
        let (now, most) = (At::from(self.now), i64::from(self.n));
        let (now, most) = ((&now as _, Type::TIMESTAMPTZ), (&most as _, Type::INT8));
        forget(tx, self.now).await?;
        let mut left: BTreeMap<Cell, (i64, At)> = BTreeMap::new();
        for line in &tx.rows(LET_GO, std::slice::from_ref(&now)).await? {
            left.insert((line.get(0)?, line.get(1)?), (line.get(2)?, line.get(3)?));
        }
        let jobs = tx.rows(JOBS, &[now.clone(), most.clone()]).await?;
        let jobs = jobs.iter().map(|line| line.get(0)).collect::<Result<BTreeSet<i64>, _>>()?;
        if jobs.is_empty() {
            abandon_since(tx, &left, self.now).await?;
            return Ok(Reaped::default());
        }
        lock_jobs(tx, jobs.iter().copied(), alone).await?;
        let jobs: Vec<i64> = jobs.into_iter().collect();
        let expiries = int(MOST_EXPIRIES);
        let values = [now, most, (&jobs, Type::INT8_ARRAY), (&expiries, Type::INT4)];
        let mut reaped = Reaped::default();
        let (mut deltas, mut results) = (Deltas::default(), Results::default());
        for line in &tx.rows(RETURN, &values).await? {
            let (cell, state) = ((line.get(0)?, line.get(1)?), named(line, 3)?);
            deltas.moved((cell.0, line.get(2)?), ExecutionState::Running, state);
            left.insert(cell, (line.get(4)?, line.get(5)?));
            match state {
                ExecutionState::Queued => reaped.leases_returned += 1,
                ExecutionState::Failed => {
                    results.push(cell, &Ended { error: Some(&poison_error()), ..Ended::default() })?;
                }
                _ => results.push(cell, &Ended { error: Some(&budget_error()), ..Ended::default() })?,
            }
        }
        // Their workers are gone, or stand still; their endpoints may not have noticed. The lease's end is the last time at which
        // a worker surely was there, so that it does not matter how late we are.
        let left = abandon_since(tx, &left, self.now);
        let ((), done, ()) = futures::try_join!(results.write(tx), deltas.change(tx, None), left)?;
        let ended = settle_batches(tx, &done, self.now).await?;
        ended.report(&mut reaped.batches_done, &mut reaped.jobs_ended);
        Ok(reaped)
    }
}
