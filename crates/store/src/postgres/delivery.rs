//! Webhook deliveries. Any number of senders share the queue; each takes rows that no other one holds.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use beacon_domain::{Backlog, Delivery, DeliveryEnd, DeliveryQueue, DueAsk, JobId, NewDelivery, StoreError};
use beacon_spec::{KeyId, Timestamp};
use tokio_postgres::types::Type;

use super::{
    PostgresStore,
    codec::{At, int, job_id, maybe_time, named, number},
    error::Fault,
    transaction::{Kind, Line, Tx, Work},
};
use crate::lines::{LOOKED_AT, Lines, Waiting, late};

#[async_trait]
impl DeliveryQueue for PostgresStore {
    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<u32, StoreError> {
        self.core.connections.run(&Enqueue { deliveries: &deliveries, now }).await
    }

    async fn due(&self, ask: DueAsk) -> Result<Vec<Delivery>, StoreError> {
        self.core.connections.run(&Due { ask: &ask }).await
    }

    async fn delivered(
        &self,
        delivery: &Delivery,
        end: DeliveryEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.core.connections.run(&End { delivery, end: &end, now }).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        self.core.connections.run(&Waits { now }).await
    }

    async fn deliveries(
        &self,
        job: JobId,
        after: Option<String>,
        n: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.core.connections.run(&OfJob { job, after, n }).await
    }
}

struct Enqueue<'a> {
    deliveries: &'a [NewDelivery],
    now: Timestamp,
}

#[async_trait]
impl Work for Enqueue<'_> {
    type Output = u32;
    const NAME: &'static str = "enqueue";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<u32, Fault> {
        const ADD: &str = "-- delivery::add
            INSERT INTO beacon.deliveries (id, job, event, url, body, next_at, created_at)
            SELECT id, job, event, url, body, $6, $6 FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::text[])
                WITH ORDINALITY AS new (id, job, event, url, body, place)
            ORDER BY place ON CONFLICT DO NOTHING";
        let of = |field: fn(&NewDelivery) -> &str| self.deliveries.iter().map(field).collect::<Vec<_>>();
        let (ids, events) = (of(|new| new.id.as_str()), of(|new| new.event.as_str()));
        let (urls, bodies) = (of(|new| new.url.as_str()), of(|new| new.body.as_str()));
        let jobs: Vec<&[u8]> = self.deliveries.iter().map(|new| new.job.as_bytes().as_slice()).collect();
        let now = At::from(self.now);
        let values = [
            (&ids as _, Type::TEXT_ARRAY),
            (&jobs as _, Type::BYTEA_ARRAY),
            (&events as _, Type::TEXT_ARRAY),
            (&urls as _, Type::TEXT_ARRAY),
            (&bodies as _, Type::TEXT_ARRAY),
            (&now as _, Type::TIMESTAMPTZ),
        ];
        Ok(u32::try_from(tx.execute(ADD, &values).await?).unwrap_or(u32::MAX))
    }
}

struct Due<'a> {
    ask: &'a DueAsk,
}

#[async_trait]
impl Work for Due<'_> {
    type Output = Vec<Delivery>;
    const NAME: &'static str = "deliveries_due";
    const KIND: Kind = Kind::Queue;
    // What a lost answer took is due again when its lease ends.
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<Delivery>, Fault> {
        let chosen = self.chosen(tx).await?;
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        // Rows that another sender holds, or has taken meanwhile, are left to it.
        const TAKE: &str = "-- delivery::take
            WITH due AS MATERIALIZED (SELECT no FROM beacon.deliveries
                WHERE no = ANY ($1) AND state = 'pending' AND next_at <= $2 FOR UPDATE SKIP LOCKED),
            taken AS (UPDATE beacon.deliveries SET attempts = attempts + 1, next_at = $3 FROM due WHERE deliveries.no = due.no
                RETURNING id, job, event, url, body, state, attempts, next_at, last_status, last_error, created_at,
                    ended_at, due.no)
            SELECT id, job, event, url, body, state, attempts, next_at, last_status, last_error, created_at, ended_at,
                (SELECT key FROM beacon.jobs WHERE jobs.id = taken.job)
            FROM taken ORDER BY array_position($1, no)";
        let until = At::from(self.ask.now.checked_add(self.ask.lease).unwrap_or(Timestamp::MAX));
        let now = At::from(self.ask.now);
        let values = [
            (&chosen as _, Type::INT8_ARRAY),
            (&now as _, Type::TIMESTAMPTZ),
            (&until as _, Type::TIMESTAMPTZ),
        ];
        tx.rows(TAKE, &values).await?.iter().map(delivery).collect()
    }
}

impl Due<'_> {
    /// Those whose turn it is.
    async fn chosen(&self, tx: &Tx) -> Result<Vec<i64>, Fault> {
        // The receiver is that of `receiver_of`. Jobs are looked up once for all that they have for one receiver.
        const DUE: &str = "-- delivery::due
            WITH waiting AS MATERIALIZED (
                SELECT no, next_at, job,
                    lower(split_part(translate(split_part(url, '://', 2), '?#', '//'), '/', 1) COLLATE \"C\") AS receiver
                FROM beacon.deliveries WHERE state = 'pending' AND next_at <= $1),
            of_jobs AS MATERIALIZED (SELECT DISTINCT ON (job, receiver) no, next_at, job, receiver FROM waiting
                ORDER BY job, receiver, next_at, no),
            of_keys AS (SELECT of_jobs.no, next_at, receiver, coalesce(jobs.key, '') AS key
                FROM of_jobs LEFT JOIN beacon.jobs ON jobs.id = of_jobs.job),
            longest AS (SELECT DISTINCT ON (key, receiver) no, next_at, receiver, key FROM of_keys
                ORDER BY key, receiver, next_at, no),
            ranked AS (SELECT no, next_at, receiver, key,
                row_number() OVER (PARTITION BY key ORDER BY next_at, no) AS place FROM longest)
            SELECT no, key, receiver FROM ranked WHERE place <= $2 ORDER BY next_at, no";
        let (now, sending) = (At::from(self.ask.now), self.ask.sending.len());
        // A key may be sending to its first ones.
        let places = i64::try_from(LOOKED_AT + sending).unwrap_or(i64::MAX);
        let due = tx.rows(DUE, &[(&now as _, Type::TIMESTAMPTZ), (&places as _, Type::INT8)]).await?;
        let mut lines = Lines::new(self.ask);
        lines.fill(due.iter().map(|line| {
            Ok::<_, Fault>(Waiting { at: line.get(0)?, key: line.get(1)?, receiver: line.get(2)? })
        }))?;
        Ok(lines.take(self.ask.n))
    }
}

struct End<'a> {
    delivery: &'a Delivery,
    end: &'a DeliveryEnd,
    now: Timestamp,
}

#[async_trait]
impl Work for End<'_> {
    type Output = bool;
    const NAME: &'static str = "delivered";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = false;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<bool, Fault> {
        const END: &str = "-- delivery::end
            UPDATE beacon.deliveries SET state = $3, next_at = coalesce($4, next_at), last_status = $5, last_error = $6,
                ended_at = CASE WHEN $3 = 'pending' THEN NULL ELSE $7 END
            WHERE id = $1 AND attempts = $2 AND state = 'pending'";
        let (to, next_at, status, error) = self.end.left();
        let (attempts, status) = (int(self.delivery.attempts), status.map(i32::from));
        let (next_at, now) = (next_at.map(At::from), At::from(self.now));
        let values = [
            (&self.delivery.new.id as _, Type::TEXT),
            (&attempts as _, Type::INT4),
            (&to.as_str() as _, Type::TEXT),
            (&next_at as _, Type::TIMESTAMPTZ),
            (&status as _, Type::INT4),
            (&error as _, Type::TEXT),
            (&now as _, Type::TIMESTAMPTZ),
        ];
        Ok(tx.execute(END, &values).await? == 1)
    }
}

struct Waits {
    now: Timestamp,
}

#[async_trait]
impl Work for Waits {
    type Output = Backlog;
    const NAME: &'static str = "deliveries_waiting";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Backlog, Fault> {
        // Both walk along the index of what is pending.
        const WAITING: &str = "-- delivery::waiting
            SELECT (SELECT count(*) FROM (SELECT 1 FROM beacon.deliveries WHERE state = 'pending' LIMIT $1) AS waiting),
                (SELECT next_at FROM beacon.deliveries WHERE state = 'pending' ORDER BY next_at, no LIMIT 1)";
        let most = i64::from(Backlog::MOST);
        let line = tx.one(WAITING, &[(&most as _, Type::INT8)]).await?;
        let waiting = u32::try_from(line.get::<i64>(0)?).unwrap_or(Backlog::MOST);
        let first = maybe_time(&line, 1)?;
        Ok(Backlog { waiting, late: first.map_or(Duration::ZERO, |first| late(first, self.now)) })
    }
}

struct OfJob {
    job: JobId,
    after: Option<String>,
    n: u32,
}

#[async_trait]
impl Work for OfJob {
    type Output = Vec<Delivery>;
    const NAME: &'static str = "deliveries";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<Delivery>, Fault> {
        const OF_JOB: &str = "-- delivery::of_job
            SELECT id, job, event, url, body, state, attempts, next_at, last_status, last_error, created_at, ended_at,
                (SELECT key FROM beacon.jobs WHERE jobs.id = deliveries.job)
            FROM beacon.deliveries
            WHERE job = $1 AND ($2::text IS NULL OR no > (SELECT no FROM beacon.deliveries WHERE id = $2)) ORDER BY no LIMIT $3";
        let (job, n) = (self.job.as_bytes().as_slice(), i64::from(self.n));
        let values = [(&job as _, Type::BYTEA), (&self.after as _, Type::TEXT), (&n as _, Type::INT8)];
        tx.rows(OF_JOB, &values).await?.iter().map(delivery).collect()
    }
}

fn delivery(line: &Line) -> Result<Delivery, Fault> {
    let status = line.get::<Option<i32>>(8)?;
    let key = line.get::<Option<String>>(12)?.map(KeyId::new).transpose();
    Ok(Delivery {
        key: key.map_err(|error| line.unreadable(error))?,
        new: NewDelivery {
            id: line.get(0)?,
            job: job_id(line, 1)?,
            event: line.get(2)?,
            url: line.get(3)?,
            body: line.get(4)?,
        },
        state: named(line, 5)?,
        attempts: number(line, 6)?,
        next_at: line.get::<At>(7)?.time(),
        last_status: status.map(|status| u16::try_from(status).unwrap_or(0)),
        last_error: line.get(9)?,
        created_at: line.get::<At>(10)?.time(),
        ended_at: maybe_time(line, 11)?,
    })
}
