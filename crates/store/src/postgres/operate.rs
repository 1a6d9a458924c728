//! Steering jobs and endpoints. Whoever claims for an endpoint holds its row; so does whoever changes what claims may give.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{
    EndpointControl, EndpointId, EndpointOverride, JobId, JobSteering, Paused, SpecArchive, Steered,
    StoreError, Stuck, StuckAsk, Topic,
};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    PostgresStore, abandoned,
    codec::{At, int, maybe_time, named},
    error::Fault,
    store::Core,
    stuck::StuckAt,
    transaction::{Kind, Line, Tx, Work},
};

#[async_trait]
impl SpecArchive for PostgresStore {
    async fn spec_bytes(&self, job: JobId) -> Result<Vec<u8>, StoreError> {
        self.core.connections.run(&SpecOf(job)).await
    }
}

#[async_trait]
impl JobSteering for PostgresStore {
    async fn pause(&self, job: JobId, by: String, now: Timestamp) -> Result<Steered, StoreError> {
        self.steer(job, Some(Paused { by, at: now })).await
    }

    async fn resume(&self, job: JobId, _: Timestamp) -> Result<Steered, StoreError> {
        self.steer(job, None).await
    }
}

impl PostgresStore {
    async fn steer(&self, job: JobId, pause: Option<Paused>) -> Result<Steered, StoreError> {
        let steered = self.core.connections.run(&Steer { core: &self.core, job, pause }).await?;
        self.signals.tell([Topic::Queue, Topic::Job(job)]);
        Ok(steered)
    }
}

#[async_trait]
impl EndpointControl for PostgresStore {
    async fn set_override(&self, endpoint: EndpointId, change: EndpointOverride) -> Result<(), StoreError> {
        let places = self.core.endpoints(&[&endpoint]).await?;
        self.core.connections.run(&SetOverride { endpoint: places[0], change: &change }).await?;
        self.signals.tell([Topic::Queue]);
        Ok(())
    }

    async fn overrides(&self, n: u32) -> Result<Vec<(EndpointId, EndpointOverride)>, StoreError> {
        self.core.connections.run(&Overrides(n)).await
    }

    async fn forget_abandoned(&self, endpoint: EndpointId, now: Timestamp) -> Result<u32, StoreError> {
        let places = self.core.endpoints(&[&endpoint]).await?;
        let forgotten = self.core.connections.run(&abandoned::Forget { endpoint: places[0], now }).await?;
        self.signals.tell([Topic::Queue]);
        Ok(forgotten)
    }

    async fn stuck(&self, ask: StuckAsk) -> Result<Stuck, StoreError> {
        self.core.connections.run(&StuckAt(ask)).await
    }
}

struct SpecOf(JobId);

#[async_trait]
impl Work for SpecOf {
    type Output = Vec<u8>;
    const NAME: &'static str = "spec";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<u8>, Fault> {
        const SPEC: &str = "-- operate::spec
            SELECT spec FROM beacon.specs WHERE job = (SELECT no FROM beacon.jobs WHERE id = $1)";
        let id = self.0.as_bytes().as_slice();
        let line = tx.maybe(SPEC, &[(&id, Type::BYTEA)]).await?;
        line.ok_or(StoreError::UnknownJob(self.0))?.get(0)
    }
}

/// Pauses a job or lets it go on. Once it has committed no claim that began before can give anything of the job: those hold
/// the rows of its endpoints, which are locked here, in the order in which claims lock them, before the job's row.
struct Steer<'a> {
    core: &'a Core,
    job: JobId,
    pause: Option<Paused>,
}

#[async_trait]
impl Work for Steer<'_> {
    type Output = Steered;
    const NAME: &'static str = "steer";
    const KIND: Kind = Kind::WholeJob;
    const REPLAYABLE: bool = false;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Steered, Fault> {
        const ENDPOINTS: &str = "-- operate::lock_endpoints
            SELECT no FROM beacon.endpoints WHERE no IN (SELECT DISTINCT endpoint FROM beacon.executions
                WHERE job = $1 AND state IN ('blocked', 'queued', 'running')) ORDER BY no FOR NO KEY UPDATE";
        const STEER: &str = "-- operate::steer
            UPDATE beacon.jobs SET paused_by = $2, paused_at = $3
            WHERE no = $1 AND (paused_at IS NULL) = ($3 IS NOT NULL) AND ended_at IS NULL";
        const NOW: &str = "-- operate::paused
            SELECT state, paused_by, paused_at, ended_at IS NULL FROM beacon.jobs WHERE no = $1";
        let numbers = self.core.job_numbers(tx, [self.job]).await?;
        let no = *numbers.get(&self.job).ok_or(StoreError::UnknownJob(self.job))?;
        if self.pause.is_some() {
            tx.rows(ENDPOINTS, &[(&no, Type::INT8)]).await?;
        }
        let (by, at) = self.pause.as_ref().map(|pause| (pause.by.as_str(), At::from(pause.at))).unzip();
        let values = [(&no as _, Type::INT8), (&by as _, Type::TEXT), (&at as _, Type::TIMESTAMPTZ)];
        let changed = tx.execute(STEER, &values).await? == 1;
        let line = tx.one(NOW, &values[..1]).await?;
        let is_open: bool = line.get(3)?;
        Ok(Steered { changed, state: named(&line, 0)?, paused: paused(&line, 1)?.filter(|_| is_open) })
    }
}

/// By whom and when, from this column on.
pub(crate) fn paused(line: &Line, first: usize) -> Result<Option<Paused>, Fault> {
    let (by, at) = (line.get::<Option<String>>(first)?, maybe_time(line, first + 1)?);
    Ok(by.zip(at).map(|(by, at)| Paused { by, at }))
}

struct SetOverride<'a> {
    endpoint: i32,
    change: &'a EndpointOverride,
}

#[async_trait]
impl Work for SetOverride<'_> {
    type Output = ();
    const NAME: &'static str = "set_override";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        // What claims last saw as its limit is not compared with the next one.
        const SET: &str = "-- operate::set_override
            UPDATE beacon.endpoints SET other_limit = $2, drain = $3, reset_at = $4, max_in_flight = NULL WHERE no = $1";
        let EndpointOverride { limit, drain, reset_at } = self.change;
        let (limit, reset_at) = (limit.map(int), reset_at.map(At::from));
        let values = [
            (&self.endpoint as _, Type::INT4),
            (&limit as _, Type::INT4),
            (drain as _, Type::BOOL),
            (&reset_at as _, Type::TIMESTAMPTZ),
        ];
        tx.execute(SET, &values).await.map(drop)
    }
}

struct Overrides(u32);

#[async_trait]
impl Work for Overrides {
    type Output = Vec<(EndpointId, EndpointOverride)>;
    const NAME: &'static str = "overrides";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Self::Output, Fault> {
        const ALL: &str = "-- operate::overrides
            SELECT id, other_limit, drain, reset_at FROM beacon.endpoints
            WHERE other_limit IS NOT NULL OR drain OR reset_at IS NOT NULL ORDER BY id LIMIT $1";
        let lines = tx.rows(ALL, &[(&i64::from(self.0), Type::INT8)]).await?;
        lines.iter().map(|line| Ok((EndpointId::new(line.get::<String>(0)?), change(line, 1)?))).collect()
    }
}

/// What an operator changed, from this column on.
pub(crate) fn change(line: &Line, first: usize) -> Result<EndpointOverride, Fault> {
    let limit = line.get::<Option<i32>>(first)?.map(i32::unsigned_abs);
    Ok(EndpointOverride { limit, drain: line.get(first + 1)?, reset_at: maybe_time(line, first + 2)? })
}
