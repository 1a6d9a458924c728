//! Recording: what came of attempts, guarded by the fencing token and by the results' key (L3). A group is a handful of
//! statements and one commit, however many executions and jobs it is about.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use beacon_domain::{
    CancelReason, ExecutionState, JobId, LeaseKey, Outcome, Parting, RecordReport, Recorded, Recording,
};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    abandoned::abandon,
    cancel::end_early,
    codec::{At, int, named},
    counts::Deltas,
    end::settle_batches,
    error::Fault,
    locks::{lock_job_rows, lock_jobs},
    result::{Attempts, Ended, Results},
    stale::{Stale, stale},
    store::Core,
    transaction::{Kind, Tx, Work},
};
use crate::rules::{MOST_MICROS, budget_error, day};

/// See [`beacon_domain::WorkQueue::record`].
pub(crate) struct Record<'a> {
    pub(crate) core: &'a Core,
    pub(crate) recordings: &'a [Recording],
    pub(crate) now: Timestamp,
}

/// An execution: its job's number and its place.
pub(crate) type Cell = (i64, i32);

/// Executions whose lease was held, with what they became.
type Taken = HashMap<Cell, (i32, ExecutionState)>;

#[async_trait]
impl Work for Record<'_> {
    /// With whether there is new work in the queue.
    type Output = (RecordReport, bool);
    const NAME: &'static str = "record";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, alone: &BTreeSet<i64>) -> Result<(RecordReport, bool), Fault> {
        let jobs = self.recordings.iter().map(|recording| recording.lease.execution.job);
        let numbers = self.core.job_numbers(tx, jobs).await?;
        let firsts = self.firsts(&numbers);
        // Sent at once; the second runs when the first holds its locks.
        let ((), taken) =
            futures::try_join!(lock_jobs(tx, numbers.values().copied(), alone), take(tx, &firsts))?;
        let (mut report, mut opened) = (RecordReport::default(), false);
        if !taken.is_empty() {
            opened = self.keep(tx, &firsts, &taken, alone, &mut report).await?;
        }
        report.recorded = self.answers(tx, &numbers, &firsts, &taken).await?;
        let left = self.recordings.iter().filter(|recording| recording.parting() == Parting::Abandoned);
        let left = left.filter_map(|one| Some((cell(&numbers, one.lease)?, token(one.lease))));
        abandon(tx, &left.collect(), self.now).await?;
        Ok((report, opened))
    }
}

impl Record<'_> {
    /// The first recording of each execution whose job is known, in the order of the keys.
    fn firsts(&self, numbers: &HashMap<JobId, i64>) -> BTreeMap<Cell, (usize, &Recording)> {
        let mut firsts = BTreeMap::new();
        for (at, recording) in self.recordings.iter().enumerate() {
            if let Some(cell) = cell(numbers, recording.lease) {
                firsts.entry(cell).or_insert((at, recording));
            }
        }
        firsts
    }

    /// Writes what follows from the executions that were taken; tells whether a batch was opened.
    async fn keep(
        &self,
        tx: &Tx,
        firsts: &BTreeMap<Cell, (usize, &Recording)>,
        taken: &Taken,
        alone: &BTreeSet<i64>,
        report: &mut RecordReport,
    ) -> Result<bool, Fault> {
        let (mut attempts, mut results) = (Attempts::default(), Results::default());
        let mut deltas = Deltas::default();
        let mut costs: BTreeMap<i64, i64> = BTreeMap::new();
        for (cell, (_, recording)) in firsts {
            let Some((batch, state)) = taken.get(cell) else { continue };
            deltas.moved((cell.0, *batch), ExecutionState::Running, *state);
            let cost = recording.attempt.usage.cost_micros.map_or(0, |cost| cost.min(MOST_MICROS));
            let sum = costs.entry(cell.0).or_default();
            *sum = sum.saturating_add(i64::try_from(cost).unwrap_or(i64::MAX));
            // Nothing of a job that is ending is tried again.
            let budget = budget_error();
            let ended = match &recording.outcome {
                Outcome::Completed { answer, receipt } => {
                    Ended { answer: Some(answer), receipt: Some(receipt), ..Ended::default() }
                }
                Outcome::Failed { error, receipt } | Outcome::TimedOut { error, receipt } => {
                    Ended { error: Some(error), receipt: Some(receipt), ..Ended::default() }
                }
                Outcome::Retry { .. } if *state == ExecutionState::Queued => {
                    attempts.push(*cell, recording, false)?;
                    continue;
                }
                Outcome::Retry { .. } => Ended { error: Some(&budget), ..Ended::default() },
            };
            results.push(*cell, &Ended { by: Some(recording), ..ended })?;
        }
        let ((), (), done) =
            futures::try_join!(attempts.write(tx), results.write(tx), deltas.change(tx, None))?;
        let ended = settle_batches(tx, &done, self.now).await?;
        let opened = ended.opened;
        ended.report(&mut report.batches_done, &mut report.jobs_ended);
        self.spend(tx, costs, alone, report).await?;
        Ok(opened)
    }

    /// Adds costs to jobs and to the day, and ends the jobs that have reached their cap (O3).
    async fn spend(
        &self,
        tx: &Tx,
        mut costs: BTreeMap<i64, i64>,
        alone: &BTreeSet<i64>,
        report: &mut RecordReport,
    ) -> Result<(), Fault> {
        const JOBS: &str = "-- record::job_costs
            UPDATE beacon.jobs SET cost = jobs.cost + least(more.cost, $3 - jobs.cost)
            FROM (SELECT wanted.cost, (SELECT ctid FROM beacon.jobs WHERE no BETWEEN job AND job ORDER BY no DESC LIMIT 1) AS place
                FROM unnest($1::int8[], $2::int8[]) AS wanted (job, cost)) AS more
            WHERE jobs.ctid = more.place
            RETURNING no, reason IS NULL AND ended_at IS NULL AND coalesce(jobs.cost >= cost_cap, false)";
        const HOLD_DAY: &str = "-- record::hold_day
            SELECT day FROM beacon.spend WHERE day BETWEEN $1 AND $1 ORDER BY day DESC LIMIT 1 FOR NO KEY UPDATE";
        const DAY: &str = "-- record::day_cost
            UPDATE beacon.spend SET micros = spend.micros + least($2, $3 - spend.micros) WHERE ctid =
                (SELECT ctid FROM beacon.spend WHERE day BETWEEN $1 AND $1 ORDER BY day DESC LIMIT 1)";
        const NEW_DAY: &str = "-- record::new_day
            INSERT INTO beacon.spend (day, micros) VALUES ($1, $2)
            ON CONFLICT (day) DO UPDATE SET micros = spend.micros + least(excluded.micros, $3 - spend.micros)";
        costs.retain(|_, cost| *cost > 0);
        if costs.is_empty() {
            return Ok(());
        }
        let most = i64::try_from(MOST_MICROS).unwrap_or(i64::MAX);
        lock_job_rows(tx, &costs.keys().copied().collect()).await?;
        let (jobs, more): (Vec<i64>, Vec<i64>) = costs.into_iter().unzip();
        let lines = tx
            .rows(JOBS, &[(&jobs, Type::INT8_ARRAY), (&more, Type::INT8_ARRAY), (&most, Type::INT8)])
            .await?;
        let mut over = BTreeSet::new();
        for line in &lines {
            if line.get(1)? {
                over.insert(line.get::<i64>(0)?);
            }
        }
        if !over.is_subset(alone) {
            // Ending a job touches all its executions, which others may hold now.
            return Err(Fault::Alone(over.into_iter().collect()));
        }
        for job in over {
            let (_, ended) = end_early(tx, job, &CancelReason::Budget, self.now).await?;
            ended.report(&mut report.batches_done, &mut report.jobs_ended);
        }
        // The day's row is everybody's: it is held for the commit only.
        let (day, sum) = (day(self.now), more.iter().fold(0_i64, |sum, more| sum.saturating_add(*more)));
        let values = [(&day as _, Type::INT8), (&sum as _, Type::INT8), (&most as _, Type::INT8)];
        let (_, added) = futures::try_join!(tx.rows(HOLD_DAY, &values[..1]), tx.execute(DAY, &values))?;
        if added == 0 {
            tx.execute(NEW_DAY, &values).await?;
        }
        Ok(())
    }

    async fn answers(
        &self,
        tx: &Tx,
        numbers: &HashMap<JobId, i64>,
        firsts: &BTreeMap<Cell, (usize, &Recording)>,
        taken: &Taken,
    ) -> Result<Vec<Recorded>, Fault> {
        let mut recorded = vec![Recorded::Lost; self.recordings.len()];
        let written: HashSet<usize> =
            firsts.iter().filter(|(cell, _)| taken.contains_key(cell)).map(|(_, (at, _))| *at).collect();
        let mut others = Vec::new();
        for (at, recording) in self.recordings.iter().enumerate() {
            if written.contains(&at) {
                recorded[at] = Recorded::Recorded;
            } else if let Some(cell) = cell(numbers, recording.lease) {
                others.push(Stale { at, cell, recording });
            }
        }
        for (at, answer) in stale(tx, &others).await? {
            recorded[at] = answer;
        }
        Ok(recorded)
    }
}

/// Where the execution of a lease is, if its job is known.
pub(crate) fn cell(numbers: &HashMap<JobId, i64>, lease: LeaseKey) -> Option<Cell> {
    numbers.get(&lease.execution.job).map(|job| (*job, int(lease.execution.n)))
}

/// Ends or queues again every execution whose lease is held, and no other.
async fn take(tx: &Tx, firsts: &BTreeMap<Cell, (usize, &Recording)>) -> Result<Taken, Fault> {
    // `coalesce` keeps the planner from the index of what runs, which is small but for what vacuum could not remove yet.
    const TAKE: &str = "-- record::take
        WITH jobs AS MATERIALIZED (SELECT job, (SELECT reason FROM beacon.jobs
                WHERE no BETWEEN job AND job ORDER BY no DESC LIMIT 1) AS reason FROM unnest($8::int8[]) AS job)
        UPDATE beacon.executions SET
            state = CASE WHEN new.state = 'queued' AND jobs.reason IS NOT NULL THEN 'cancelled' ELSE new.state END,
            not_before = CASE WHEN new.state = 'queued' AND jobs.reason IS NULL THEN new.not_before ELSE executions.not_before END,
            failures = failures + new.failed, throttles = throttles + new.throttled, resume = NULL, worker = NULL,
            lease_until = NULL
        FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::text[], $5::timestamptz[], $6::int4[], $7::int4[])
            AS new (job, n, token, state, not_before, failed, throttled)
        JOIN jobs USING (job)
        WHERE executions.job = new.job AND executions.n = new.n AND executions.token = new.token
            AND coalesce(executions.state, '') = 'running'
        RETURNING executions.job, executions.n, executions.batch, executions.state";
    let mut jobs = Vec::with_capacity(firsts.len());
    let (mut places, mut tokens, mut states) = (Vec::new(), Vec::new(), Vec::new());
    let (mut times, mut failed, mut throttled) = (Vec::new(), Vec::new(), Vec::new());
    for (cell, (_, recording)) in firsts {
        let (state, not_before, counts) = match &recording.outcome {
            Outcome::Completed { .. } => ("completed", At::EPOCH, None),
            Outcome::Failed { .. } => ("failed", At::EPOCH, None),
            Outcome::TimedOut { .. } => ("timed_out", At::EPOCH, None),
            Outcome::Retry { not_before, counts } => ("queued", At::from(*not_before), Some(*counts)),
        };
        jobs.push(cell.0);
        places.push(cell.1);
        tokens.push(token(recording.lease));
        states.push(state);
        times.push(not_before);
        failed.push(i32::from(counts == Some(true)));
        throttled.push(i32::from(counts == Some(false)));
    }
    // The cells are in order.
    let mut distinct = jobs.clone();
    distinct.dedup();
    let lines = tx
        .rows(
            TAKE,
            &[
                (&jobs, Type::INT8_ARRAY),
                (&places, Type::INT4_ARRAY),
                (&tokens, Type::INT8_ARRAY),
                (&states, Type::TEXT_ARRAY),
                (&times, Type::TIMESTAMPTZ_ARRAY),
                (&failed, Type::INT4_ARRAY),
                (&throttled, Type::INT4_ARRAY),
                (&distinct, Type::INT8_ARRAY),
            ],
        )
        .await?;
    let taken = lines.iter().map(|line| Ok(((line.get(0)?, line.get(1)?), (line.get(2)?, named(line, 3)?))));
    taken.collect()
}

/// A fencing token for its column; it counts claims, and never comes near the bound.
pub(crate) fn token(lease: LeaseKey) -> i64 {
    i64::try_from(lease.token).unwrap_or(i64::MAX)
}
