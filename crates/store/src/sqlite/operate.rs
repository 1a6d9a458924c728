//! Steering: pause and resume, changes of endpoints, who is there, and what is stuck.

use async_trait::async_trait;
use beacon_domain::{
    Attendance, EndpointControl, EndpointId, EndpointOverride, ExecutionId, ExpiredLease, JobId, JobSteering,
    Paused, Room, SpecArchive, Steered, StoreError, Stuck, StuckAsk, WorkerId, WorkerPresence,
};
use beacon_spec::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    SqliteStore,
    codec::{json, maybe_time, micros, state, text, time},
    view,
    writer::{Durability, Fault, Writer},
};

#[async_trait]
impl SpecArchive for SqliteStore {
    async fn spec_bytes(&self, job: JobId) -> Result<Vec<u8>, StoreError> {
        const SPEC: &str = "-- operate::spec
            SELECT spec FROM jobs WHERE id = ?1";
        self.threads
            .read(move |connection| {
                let mut query = connection.prepare_cached(SPEC)?;
                let spec = query.query_row([job.as_bytes()], |row| row.get(0)).optional()?;
                Ok(spec.ok_or(StoreError::UnknownJob(job))?)
            })
            .await
    }
}

#[async_trait]
impl JobSteering for SqliteStore {
    async fn pause(&self, job: JobId, by: String, now: Timestamp) -> Result<Steered, StoreError> {
        const PAUSE: &str = "-- operate::pause
            UPDATE jobs SET paused_at = ?2, paused_by = ?3 WHERE no = ?1 AND paused_at IS NULL AND ended_at IS NULL";
        let change = move |writer: &Writer, no| {
            Ok(writer.connection.prepare_cached(PAUSE)?.execute(params![no, micros(now), by])?)
        };
        self.threads.write(Durability::Disk, move |writer| writer.steer(job, change)).await
    }

    async fn resume(&self, job: JobId, _: Timestamp) -> Result<Steered, StoreError> {
        const RESUME: &str = "-- operate::resume
            UPDATE jobs SET paused_at = NULL, paused_by = NULL
            WHERE no = ?1 AND paused_at IS NOT NULL AND ended_at IS NULL";
        let change =
            |writer: &Writer, no: i64| Ok(writer.connection.prepare_cached(RESUME)?.execute([no])?);
        self.threads.write(Durability::Disk, move |writer| writer.steer(job, change)).await
    }
}

impl Writer {
    fn steer(
        &mut self,
        job: JobId,
        change: impl FnOnce(&Self, i64) -> Result<usize, Fault>,
    ) -> Result<Steered, Fault> {
        const NOW: &str = "-- operate::paused
            SELECT state, paused_by, paused_at, ended_at IS NULL FROM jobs WHERE no = ?1";
        let no = view::number(&self.connection, job)?.ok_or(StoreError::UnknownJob(job))?;
        let changed = change(self, no)? == 1;
        self.wake_queue();
        self.wake_job(job);
        let mut query = self.connection.prepare_cached(NOW)?;
        let steered = query.query_row([no], |row| {
            let is_open: bool = row.get(3)?;
            Ok(Steered { changed, state: state(row, 0)?, paused: paused(row, 1)?.filter(|_| is_open) })
        });
        Ok(steered?)
    }

    /// The limit of an endpoint, or `None` if it drains. Another process may have changed it.
    pub(crate) fn limit(&self, no: i64, room: &Room) -> Result<Option<u32>, Fault> {
        const CHANGE: &str = "-- operate::limit
            SELECT other_limit, drain, reset_at FROM endpoints WHERE no = ?1";
        let change = self.connection.prepare_cached(CHANGE)?.query_row([no], |row| change(row, 0))?;
        Ok((!change.drain).then(|| change.limit(room.limit, room.most)))
    }
}

/// By whom and when, from this column on.
pub(crate) fn paused(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Paused>> {
    let (by, at): (Option<String>, _) = (row.get(first)?, maybe_time(row, first + 1)?);
    Ok(by.zip(at).map(|(by, at)| Paused { by, at }))
}

fn change(row: &Row<'_>, first: usize) -> rusqlite::Result<EndpointOverride> {
    let (limit, drain, reset_at) = (row.get(first)?, row.get(first + 1)?, maybe_time(row, first + 2)?);
    Ok(EndpointOverride { limit, drain, reset_at })
}

#[async_trait]
impl Attendance for SqliteStore {
    async fn attend(&self, worker: WorkerPresence, forget_before: Timestamp) -> Result<(), StoreError> {
        const FORGET: &str = "-- operate::forget_workers
            DELETE FROM workers WHERE seen_at < ?1";
        const SEEN: &str = "-- operate::seen
            INSERT INTO workers (id, label, version, endpoints, started_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, endpoints = excluded.endpoints";
        self.threads
            .write(Durability::Process, move |writer| {
                writer.connection.prepare_cached(FORGET)?.execute([micros(forget_before)])?;
                writer.connection.prepare_cached(SEEN)?.execute(params![
                    worker.worker.as_str(),
                    worker.label,
                    worker.version,
                    text(&worker.endpoints)?,
                    micros(worker.started_at),
                    micros(worker.seen_at)
                ])?;
                Ok(())
            })
            .await
    }

    async fn leave(&self, worker: WorkerId) -> Result<(), StoreError> {
        const LEAVE: &str = "-- operate::leave
            DELETE FROM workers WHERE id = ?1";
        self.threads
            .write(Durability::Process, move |writer| {
                writer.connection.prepare_cached(LEAVE)?.execute([worker.as_str()])?;
                Ok(())
            })
            .await
    }

    async fn workers(&self, since: Timestamp, n: u32) -> Result<Vec<WorkerPresence>, StoreError> {
        const WORKERS: &str = "-- operate::workers
            SELECT id, label, version, endpoints, started_at, seen_at FROM workers WHERE seen_at >= ?1
            ORDER BY seen_at DESC, id LIMIT ?2";
        self.threads
            .read(move |connection| {
                let mut query = connection.prepare_cached(WORKERS)?;
                let workers = query.query_map(params![micros(since), n], |row| {
                    Ok(WorkerPresence {
                        worker: WorkerId::new(row.get::<_, String>(0)?),
                        label: row.get(1)?,
                        version: row.get(2)?,
                        endpoints: json(row, 3)?,
                        started_at: time(row, 4)?,
                        seen_at: time(row, 5)?,
                    })
                })?;
                Ok(workers.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }
}

#[async_trait]
impl EndpointControl for SqliteStore {
    async fn set_override(&self, endpoint: EndpointId, change: EndpointOverride) -> Result<(), StoreError> {
        const SET: &str = "-- operate::set_override
            UPDATE endpoints SET other_limit = ?2, drain = ?3, reset_at = ?4, max_in_flight = NULL WHERE no = ?1";
        self.threads
            .write(Durability::Disk, move |writer| {
                let no = writer.endpoint_no(&endpoint)?;
                let reset_at = change.reset_at.map(micros);
                let mut set = writer.connection.prepare_cached(SET)?;
                set.execute(params![no, change.limit, change.drain, reset_at])?;
                drop(set);
                // What was written of it is news again.
                writer.endpoints.remove(&endpoint);
                writer.wake_queue();
                Ok(())
            })
            .await
    }

    async fn overrides(&self, n: u32) -> Result<Vec<(EndpointId, EndpointOverride)>, StoreError> {
        const ALL: &str = "-- operate::overrides
            SELECT id, other_limit, drain, reset_at FROM endpoints INDEXED BY endpoints_changed
            WHERE other_limit IS NOT NULL OR drain OR reset_at IS NOT NULL ORDER BY id LIMIT ?1";
        self.threads
            .read(move |connection| {
                let mut query = connection.prepare_cached(ALL)?;
                let all = query
                    .query_map([n], |row| Ok((EndpointId::new(row.get::<_, String>(0)?), change(row, 1)?)))?;
                Ok(all.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn forget_abandoned(&self, endpoint: EndpointId, now: Timestamp) -> Result<u32, StoreError> {
        const FORGET: &str = "-- operate::forget_abandoned
            DELETE FROM abandoned WHERE endpoint = (SELECT no FROM endpoints WHERE id = ?1) AND until > ?2";
        self.threads
            .write(Durability::Disk, move |writer| {
                let values = params![endpoint.as_str(), micros(now)];
                let forgotten = writer.connection.prepare_cached(FORGET)?.execute(values)?;
                writer.wake_queue();
                Ok(u32::try_from(forgotten).unwrap_or(u32::MAX))
            })
            .await
    }

    async fn stuck(&self, ask: StuckAsk) -> Result<Stuck, StoreError> {
        self.threads.read(move |connection| stuck(connection, ask)).await
    }
}

fn stuck(connection: &Connection, ask: StuckAsk) -> Result<Stuck, Fault> {
    const EXPIRED: &str = "-- operate::expired
        SELECT id, n, worker, lease_until FROM executions JOIN jobs ON no = job
        WHERE lease_until IS NOT NULL AND lease_until < ?1 ORDER BY lease_until, job, n LIMIT ?2";
    const IDLE: &str = "-- operate::idle
        SELECT id FROM jobs WHERE ended_at IS NULL AND paused_at IS NULL AND accepted_at < ?1
            AND NOT EXISTS (SELECT 1 FROM batches WHERE job = no AND running > 0)
            AND coalesce((SELECT max(started_at) FROM executions WHERE job = no), 0) < ?1
        ORDER BY deadline, no LIMIT ?2";
    let mut expired = connection.prepare_cached(EXPIRED)?;
    let expired = expired.query_map(params![micros(ask.now), ask.n], |row| {
        let job = JobId::from_bytes(row.get(0)?);
        Ok(ExpiredLease {
            execution: ExecutionId { job, n: row.get(1)? },
            worker: row.get::<_, Option<String>>(2)?.map(WorkerId::new),
            expired_at: time(row, 3)?,
        })
    })?;
    let mut idle = connection.prepare_cached(IDLE)?;
    let since = micros(ask.idle_since);
    let idle = idle.query_map(params![since, ask.n], |row| Ok(JobId::from_bytes(row.get(0)?)))?;
    Ok(Stuck {
        expired: expired.collect::<rusqlite::Result<_>>()?,
        idle: idle.collect::<rusqlite::Result<_>>()?,
        unclosed: view::unclosed(connection, ask.n)?,
    })
}
