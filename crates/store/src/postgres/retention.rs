//! Retention: ended jobs are deleted in bounded steps, so that no transaction is long and vacuum keeps up.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{JobId, StoreError};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    codec::At,
    error::Fault,
    locks::lock_jobs,
    store::{Core, locked},
    transaction::{Kind, Tx, Work},
};

/// See [`super::PostgresStore::delete_ended_before`].
pub(crate) async fn delete_ended_before(
    core: &Core,
    before: Timestamp,
    most: u32,
    rows: u32,
) -> Result<u32, StoreError> {
    let mut deleted = 0;
    while deleted < most {
        let Some(job) = core.connections.run(&Oldest { before }).await? else { break };
        while !core.connections.run(&DeleteStep { job, rows: i64::from(rows.max(1)) }).await? {}
        locked(&core.numbers).retain(|_, no| *no != job);
        deleted += 1;
    }
    Ok(deleted)
}

/// See [`super::PostgresStore::signed_spec`].
pub(crate) struct SignedSpecOf(pub(crate) JobId);

#[async_trait]
impl Work for SignedSpecOf {
    type Output = Option<Vec<u8>>;
    const NAME: &'static str = "signed_spec";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Option<Vec<u8>>, Fault> {
        const SPEC: &str = "-- retention::signed_spec
            SELECT spec FROM beacon.specs WHERE job = (SELECT no FROM beacon.jobs WHERE id = $1)";
        let id = self.0.as_bytes().as_slice();
        tx.maybe(SPEC, &[(&id, Type::BYTEA)]).await?.map(|line| line.get(0)).transpose()
    }
}

/// The job that ended first.
struct Oldest {
    before: Timestamp,
}

#[async_trait]
impl Work for Oldest {
    type Output = Option<i64>;
    const NAME: &'static str = "oldest";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Option<i64>, Fault> {
        const OLDEST: &str = "-- retention::oldest
            SELECT no FROM beacon.jobs WHERE ended_at < $1 ORDER BY ended_at, no LIMIT 1";
        let before = At::from(self.before);
        tx.maybe(OLDEST, &[(&before, Type::TIMESTAMPTZ)]).await?.map(|line| line.get(0)).transpose()
    }
}

/// Deletes some executions of a job with what belongs to them; when none is left, the job. Whether it is gone.
struct DeleteStep {
    job: i64,
    rows: i64,
}

#[async_trait]
impl Work for DeleteStep {
    type Output = bool;
    const NAME: &'static str = "delete";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<bool, Fault> {
        // From the end of the plan, so that the rest is still a plan without gaps.
        const LAST: &str = "-- retention::last
            SELECT min(n) FROM (SELECT n FROM beacon.executions WHERE job = $1 ORDER BY n DESC LIMIT $2) AS last";
        const STEPS: [&str; 3] = [
            "-- retention::attempts
            DELETE FROM beacon.attempts WHERE job = $1 AND n >= $2",
            "-- retention::results
            DELETE FROM beacon.results WHERE job = $1 AND n >= $2",
            "-- retention::executions
            DELETE FROM beacon.executions WHERE job = $1 AND n >= $2",
        ];
        const JOB: [&str; 5] = [
            "-- retention::deliveries
            DELETE FROM beacon.deliveries WHERE job = (SELECT id FROM beacon.jobs WHERE no = $1)",
            "-- retention::batches
            DELETE FROM beacon.batches WHERE job = $1",
            "-- retention::questions
            DELETE FROM beacon.questions WHERE job = $1",
            "-- retention::spec
            DELETE FROM beacon.specs WHERE job = $1",
            "-- retention::job
            DELETE FROM beacon.jobs WHERE no = $1",
        ];
        lock_jobs(tx, [], &[self.job].into()).await?;
        let job = (&self.job as _, Type::INT8);
        let first: Option<i32> = tx.one(LAST, &[job.clone(), (&self.rows, Type::INT8)]).await?.get(0)?;
        if let Some(first) = first {
            for step in STEPS {
                tx.execute(step, &[job.clone(), (&first, Type::INT4)]).await?;
            }
            return Ok(false);
        }
        for step in JOB {
            tx.execute(step, std::slice::from_ref(&job)).await?;
        }
        Ok(true)
    }
}
