//! Which workers are there.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{Attendance, StoreError, WorkerId, WorkerPresence};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    PostgresStore,
    codec::{At, json, text},
    error::Fault,
    transaction::{Kind, Line, Tx, Work},
};

#[async_trait]
impl Attendance for PostgresStore {
    async fn attend(&self, worker: WorkerPresence, forget_before: Timestamp) -> Result<(), StoreError> {
        self.core.connections.run(&Attend { worker: &worker, forget_before }).await
    }

    async fn leave(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.core.connections.run(&Leave(&worker)).await
    }

    async fn workers(&self, since: Timestamp, n: u32) -> Result<Vec<WorkerPresence>, StoreError> {
        self.core.connections.run(&Workers { since, n }).await
    }
}

struct Attend<'a> {
    worker: &'a WorkerPresence,
    forget_before: Timestamp,
}

#[async_trait]
impl Work for Attend<'_> {
    type Output = ();
    const NAME: &'static str = "attend";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        // Rows that somebody else holds are left to them: two that forget the same ones never wait in a circle.
        const FORGET: &str = "-- attendance::forget
            DELETE FROM beacon.workers WHERE id IN (SELECT id FROM beacon.workers WHERE seen_at < $1 FOR UPDATE SKIP LOCKED)";
        const SEEN: &str = "-- attendance::seen
            INSERT INTO beacon.workers (id, label, version, endpoints, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, endpoints = excluded.endpoints";
        let WorkerPresence { worker, label, version, endpoints, started_at, seen_at } = self.worker;
        let (endpoints, id) = (text(endpoints)?, worker.as_str());
        let [before, started_at, seen_at] = [self.forget_before, *started_at, *seen_at].map(At::from);
        tx.execute(FORGET, &[(&before, Type::TIMESTAMPTZ)]).await?;
        let values = [
            (&id as _, Type::TEXT),
            (label as _, Type::TEXT),
            (version as _, Type::TEXT),
            (&endpoints as _, Type::TEXT),
            (&started_at as _, Type::TIMESTAMPTZ),
            (&seen_at as _, Type::TIMESTAMPTZ),
        ];
        tx.execute(SEEN, &values).await.map(drop)
    }
}

struct Leave<'a>(&'a WorkerId);

#[async_trait]
impl Work for Leave<'_> {
    type Output = ();
    const NAME: &'static str = "leave";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        const LEAVE: &str = "-- attendance::leave
            DELETE FROM beacon.workers WHERE id = $1";
        tx.execute(LEAVE, &[(&self.0.as_str(), Type::TEXT)]).await.map(drop)
    }
}

struct Workers {
    since: Timestamp,
    n: u32,
}

#[async_trait]
impl Work for Workers {
    type Output = Vec<WorkerPresence>;
    const NAME: &'static str = "workers";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<WorkerPresence>, Fault> {
        const WORKERS: &str = "-- attendance::workers
            SELECT id, label, version, endpoints, started_at, seen_at FROM beacon.workers WHERE seen_at >= $1
            ORDER BY seen_at DESC, id LIMIT $2";
        let since = At::from(self.since);
        let values = [(&since as _, Type::TIMESTAMPTZ), (&i64::from(self.n) as _, Type::INT8)];
        let worker = |line: &Line| {
            Ok(WorkerPresence {
                worker: WorkerId::new(line.get::<String>(0)?),
                label: line.get(1)?,
                version: line.get(2)?,
                endpoints: json(line, 3)?,
                started_at: line.get::<At>(4)?.time(),
                seen_at: line.get::<At>(5)?.time(),
            })
        };
        tx.rows(WORKERS, &values).await?.iter().map(worker).collect()
    }
}
