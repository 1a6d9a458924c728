//! The counts that a batch carries: changed by groups, in the transaction that changes the executions.
//!
//! A batch's row, as an endpoint's, changes with every group. While somebody holds an old snapshot, nothing removes its
//! former versions, and a look by key would visit them all. So such rows are looked for from their newest version on: a
//! range of one key, backwards, one row (an equality would make the planner drop the order, and with it the direction).
//! They are changed where they were found, under a lock that an earlier statement took.

use std::collections::BTreeMap;

use beacon_domain::{ExecutionState, StateCounts};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    codec::{At, counts, maybe_time},
    error::Fault,
    transaction::Tx,
};

/// A batch: its job's number and its place.
pub(crate) type BatchKey = (i64, i32);

/// By how much counts change; a batch has at most as many executions as an `i32` counts.
#[derive(Debug, Default)]
pub(crate) struct Deltas(BTreeMap<BatchKey, [i32; 8]>);

/// A batch whose row is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldBatch {
    /// Its counts before the change.
    pub(crate) counts: StateCounts,
    /// Its first dispatch.
    pub(crate) started_at: Option<Timestamp>,
    /// When the batch before it was done.
    pub(crate) before_ended_at: Option<Timestamp>,
}

impl Deltas {
    /// One execution of a batch goes from one state to another.
    pub(crate) fn moved(&mut self, batch: BatchKey, from: ExecutionState, to: ExecutionState) {
        let counts = self.0.entry(batch).or_default();
        counts[place(from)] -= 1;
        counts[place(to)] += 1;
    }

    /// The batches, in the order of their keys.
    pub(crate) fn batches(&self) -> impl Iterator<Item = BatchKey> {
        self.0.keys().copied()
    }

    /// Locks the batches and writes the changes to them, in one go. `start` sets the first dispatch where there is none
    /// yet. Gives the batches that have nothing open any more.
    pub(crate) async fn change(&self, tx: &Tx, start: Option<At>) -> Result<Vec<BatchKey>, Fault> {
        futures::try_join!(self.hold(tx), self.write(tx, start)).map(|(_, done)| done)
    }

    /// Locks the batches in the order of their keys.
    pub(crate) async fn hold(&self, tx: &Tx) -> Result<BTreeMap<BatchKey, HeldBatch>, Fault> {
        const HOLD: &str = "-- counts::hold
            SELECT held.*, (SELECT ended_at FROM beacon.batches AS before
                WHERE before.job = held.job AND before.b BETWEEN held.b - 1 AND held.b - 1 ORDER BY before.b DESC LIMIT 1)
            FROM (SELECT job, b FROM unnest($1::int8[], $2::int4[]) AS wanted (job, b) ORDER BY job, b) AS wanted
            CROSS JOIN LATERAL (SELECT job, b, blocked, queued, running, completed, failed, cancelled, timed_out, unsupported,
                    started_at FROM beacon.batches WHERE job = wanted.job AND b BETWEEN wanted.b AND wanted.b
                ORDER BY b DESC LIMIT 1 FOR NO KEY UPDATE) AS held";
        let (jobs, places): (Vec<i64>, Vec<i32>) = self.batches().unzip();
        let held = tx.rows(HOLD, &[(&jobs, Type::INT8_ARRAY), (&places, Type::INT4_ARRAY)]).await?;
        let batch = |line: &super::transaction::Line| {
            let held = HeldBatch {
                counts: counts(line, 2)?,
                started_at: maybe_time(line, 10)?,
                before_ended_at: maybe_time(line, 11)?,
            };
            Ok(((line.get(0)?, line.get(1)?), held))
        };
        held.iter().map(batch).collect()
    }

    /// Writes the changes to held batches. See [`Deltas::change`].
    pub(crate) async fn write(&self, tx: &Tx, start: Option<At>) -> Result<Vec<BatchKey>, Fault> {
        const WRITE: &str = "-- counts::write
            UPDATE beacon.batches SET queued = batches.queued + more.queued, running = batches.running + more.running,
                completed = batches.completed + more.completed, failed = batches.failed + more.failed,
                cancelled = batches.cancelled + more.cancelled, timed_out = batches.timed_out + more.timed_out,
                started_at = coalesce(started_at, $9)
            FROM (SELECT wanted.*, (SELECT ctid FROM beacon.batches WHERE batches.job = wanted.job
                    AND batches.b BETWEEN wanted.b AND wanted.b ORDER BY batches.b DESC LIMIT 1) AS place
                FROM unnest($1::int8[], $2::int4[], $3::int4[], $4::int4[], $5::int4[], $6::int4[], $7::int4[], $8::int4[])
                    AS wanted (job, b, queued, running, completed, failed, cancelled, timed_out)) AS more
            WHERE batches.ctid = more.place
            RETURNING batches.job, batches.b, blocked + batches.queued + batches.running";
        let (jobs, places): (Vec<i64>, Vec<i32>) = self.batches().unzip();
        let column = |at: usize| self.0.values().map(|counts| counts[at]).collect::<Vec<i32>>();
        let [queued, running, completed] = [column(1), column(2), column(3)];
        let [failed, cancelled, timed_out] = [column(4), column(5), column(6)];
        let lines = tx
            .rows(
                WRITE,
                &[
                    (&jobs, Type::INT8_ARRAY),
                    (&places, Type::INT4_ARRAY),
                    (&queued, Type::INT4_ARRAY),
                    (&running, Type::INT4_ARRAY),
                    (&completed, Type::INT4_ARRAY),
                    (&failed, Type::INT4_ARRAY),
                    (&cancelled, Type::INT4_ARRAY),
                    (&timed_out, Type::INT4_ARRAY),
                    (&start, Type::TIMESTAMPTZ),
                ],
            )
            .await?;
        let mut done = Vec::new();
        for line in &lines {
            if line.get::<i32>(2)? == 0 {
                done.push((line.get(0)?, line.get(1)?));
            }
        }
        done.sort_unstable();
        Ok(done)
    }
}

fn place(state: ExecutionState) -> usize {
    ExecutionState::ALL.iter().position(|known| *known == state).unwrap_or_default()
}
