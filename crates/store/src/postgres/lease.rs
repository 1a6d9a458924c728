//! Leases after the claim: renewed, check-pointed, given back (L3).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{ExecutionState, LeaseKey, LossReason, Parting, Renewed, ResumeToken};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    abandoned::abandon,
    codec::{At, int, named},
    counts::Deltas,
    end::settle_batches,
    error::Fault,
    locks::lock_jobs,
    record::{Cell, cell, token},
    result::{Ended, Results},
    store::Core,
    transaction::{Kind, Tx, Work},
};
use crate::rules::{budget_error, loss};

/// Leases by their execution, in the order of the keys; the last of equals stays.
pub(crate) fn columns(cells: &BTreeMap<Cell, i64>) -> (Vec<i64>, Vec<i32>, Vec<i64>) {
    let jobs = cells.keys().map(|cell| cell.0).collect();
    let places = cells.keys().map(|cell| cell.1).collect();
    (jobs, places, cells.values().copied().collect())
}

/// See [`beacon_domain::WorkQueue::renew`].
pub(crate) struct Renew<'a> {
    pub(crate) core: &'a Core,
    pub(crate) leases: &'a [LeaseKey],
    pub(crate) lease: Duration,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Work for Renew<'_> {
    type Output = Vec<Renewed>;
    const NAME: &'static str = "renew";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, alone: &BTreeSet<i64>) -> Result<Vec<Renewed>, Fault> {
        const RENEW: &str = "-- lease::renew
            UPDATE beacon.executions SET lease_until = $4
            FROM unnest($1::int8[], $2::int4[], $3::int8[]) AS held (job, n, token)
            WHERE executions.job = held.job AND executions.n = held.n AND executions.token = held.token
                AND coalesce(state, '') = 'running'
            RETURNING executions.job, executions.n, executions.token";
        const STATES: &str = "-- lease::states
            SELECT job, n, state FROM beacon.executions JOIN unnest($1::int8[], $2::int4[]) AS asked (job, n) USING (job, n)";
        let jobs = self.leases.iter().map(|lease| lease.execution.job);
        let numbers = self.core.job_numbers(tx, jobs).await?;
        lock_jobs(tx, numbers.values().copied(), alone).await?;
        let until = self.now.checked_add(self.lease).unwrap_or(Timestamp::MAX);
        let mut wanted: Vec<(Cell, i64)> =
            self.leases.iter().filter_map(|lease| Some((cell(&numbers, *lease)?, token(*lease)))).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let jobs: Vec<i64> = wanted.iter().map(|((job, _), _)| *job).collect();
        let places: Vec<i32> = wanted.iter().map(|((_, n), _)| *n).collect();
        let tokens: Vec<i64> = wanted.iter().map(|(_, token)| *token).collect();
        let at = At::from(until);
        let (of_jobs, of_places) = ((&jobs as _, Type::INT8_ARRAY), (&places as _, Type::INT4_ARRAY));
        let tokens = (&tokens as _, Type::INT8_ARRAY);
        let lines = tx.rows(RENEW, &[of_jobs, of_places, tokens, (&at, Type::TIMESTAMPTZ)]).await?;
        let kept: BTreeSet<(Cell, i64)> = lines
            .iter()
            .map(|line| Ok(((line.get(0)?, line.get(1)?), line.get(2)?)))
            .collect::<Result<_, Fault>>()?;
        let mut states: HashMap<Cell, ExecutionState> = HashMap::new();
        if kept.len() < wanted.len() {
            for line in tx.rows(STATES, &[(&jobs, Type::INT8_ARRAY), (&places, Type::INT4_ARRAY)]).await? {
                states.insert((line.get(0)?, line.get(1)?), named(&line, 2)?);
            }
        }
        let renewed = |lease: &LeaseKey| match cell(&numbers, *lease) {
            Some(cell) if kept.contains(&(cell, token(*lease))) => Renewed::Kept(until),
            Some(cell) => {
                Renewed::Lost(states.get(&cell).map_or(LossReason::Reclaimed, |state| loss(*state)))
            }
            None => Renewed::Lost(LossReason::Reclaimed),
        };
        Ok(self.leases.iter().map(renewed).collect())
    }
}

/// See [`beacon_domain::WorkQueue::checkpoint`].
pub(crate) struct Checkpoint<'a> {
    pub(crate) lease: LeaseKey,
    pub(crate) token: &'a ResumeToken,
}

#[async_trait]
impl Work for Checkpoint<'_> {
    type Output = bool;
    const NAME: &'static str = "checkpoint";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<bool, Fault> {
        const SAVE: &str = "-- lease::checkpoint
            UPDATE beacon.executions SET resume = $4 WHERE job = (SELECT no FROM beacon.jobs WHERE id = $1) AND n = $2
                AND token = $3 AND state = 'running'";
        let id = self.lease.execution.job.as_bytes().as_slice();
        let (n, token) = (int(self.lease.execution.n), token(self.lease));
        let values = [
            (&id as _, Type::BYTEA),
            (&n as _, Type::INT4),
            (&token as _, Type::INT8),
            (&self.token.0 as _, Type::TEXT),
        ];
        Ok(tx.execute(SAVE, &values).await? == 1)
    }
}

/// The calls of executions that were ended meanwhile are gone: their slots are free (S1). Each column has one entry per
/// lease, in the order of their keys.
pub(crate) async fn let_go(tx: &Tx, jobs: &[i64], places: &[i32], tokens: &[i64]) -> Result<(), Fault> {
    const LET_GO: &str = "-- lease::let_go
        UPDATE beacon.executions SET worker = NULL, lease_until = NULL
        FROM unnest($1::int8[], $2::int4[], $3::int8[]) AS held (job, n, token)
        WHERE executions.job = held.job AND executions.n = held.n AND executions.token = held.token
            AND executions.state <> 'running' AND executions.worker IS NOT NULL";
    let values =
        [(&jobs as _, Type::INT8_ARRAY), (&places as _, Type::INT4_ARRAY), (&tokens as _, Type::INT8_ARRAY)];
    tx.execute(LET_GO, &values).await.map(drop)
}

/// See [`beacon_domain::WorkQueue::give_back`]. A call that is check-pointed stays the same attempt.
pub(crate) struct GiveBack<'a> {
    pub(crate) core: &'a Core,
    pub(crate) leases: &'a [LeaseKey],
    pub(crate) parting: Parting,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Work for GiveBack<'_> {
    type Output = u32;
    const NAME: &'static str = "give_back";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, alone: &BTreeSet<i64>) -> Result<u32, Fault> {
        const BACK: &str = "-- lease::give_back
            UPDATE beacon.executions SET state = CASE WHEN reason IS NULL THEN 'queued' ELSE 'cancelled' END,
                not_before = CASE WHEN reason IS NULL THEN greatest($4, '1970-01-01 00:00:00.000001+00') ELSE not_before END,
                attempts = attempts - CASE WHEN reason IS NULL AND resume IS NULL THEN 1 ELSE 0 END,
                resume = CASE WHEN reason IS NULL THEN resume END, worker = NULL, lease_until = NULL
            FROM unnest($1::int8[], $2::int4[], $3::int8[]) AS held (job, n, token) JOIN beacon.jobs ON no = held.job
            WHERE executions.job = held.job AND executions.n = held.n AND executions.token = held.token
                AND coalesce(executions.state, '') = 'running'
            RETURNING executions.job, executions.n, executions.batch, executions.state";
        let jobs = self.leases.iter().map(|lease| lease.execution.job);
        let numbers = self.core.job_numbers(tx, jobs).await?;
        lock_jobs(tx, numbers.values().copied(), alone).await?;
        let cells = self.leases.iter().filter_map(|lease| Some((cell(&numbers, *lease)?, token(*lease))));
        let held: BTreeMap<Cell, i64> = cells.collect();
        let (jobs, places, tokens) = columns(&held);
        let at = At::from(self.now);
        let values = [
            (&jobs as _, Type::INT8_ARRAY),
            (&places as _, Type::INT4_ARRAY),
            (&tokens as _, Type::INT8_ARRAY),
            (&at as _, Type::TIMESTAMPTZ),
        ];
        let lines = tx.rows(BACK, &values).await?;
        if lines.len() < jobs.len() {
            let_go(tx, &jobs, &places, &tokens).await?;
        }
        if self.parting == Parting::Abandoned {
            abandon(tx, &held, self.now).await?;
        }
        if lines.is_empty() {
            return Ok(0);
        }
        let (mut deltas, mut results) = (Deltas::default(), Results::default());
        for line in &lines {
            let (cell, state) = ((line.get(0)?, line.get(1)?), named(line, 3)?);
            deltas.moved((cell.0, line.get(2)?), ExecutionState::Running, state);
            if state == ExecutionState::Cancelled {
                results.push(cell, &Ended { error: Some(&budget_error()), ..Ended::default() })?;
            }
        }
        let ((), done) = futures::try_join!(results.write(tx), deltas.change(tx, None))?;
        settle_batches(tx, &done, self.now).await?;
        Ok(u32::try_from(lines.len()).unwrap_or(u32::MAX))
    }
}
