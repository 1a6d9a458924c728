//! Webhook deliveries.

use std::time::Duration;

use async_trait::async_trait;
use beacon_domain::{
    Backlog, Delivery, DeliveryEnd, DeliveryQueue, DeliveryState, DueAsk, JobId, NewDelivery, StoreError,
    receiver_of,
};
use beacon_spec::{KeyId, Timestamp};
use rusqlite::{Connection, Row, params, types::Type as DbType};

use super::{
    SqliteStore,
    codec::{maybe_time, micros, state, time},
    writer::Durability,
};
use crate::lines::{Lines, Waiting, late};

#[async_trait]
impl DeliveryQueue for SqliteStore {
    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<u32, StoreError> {
        const ADD: &str = "-- delivery::add
            INSERT INTO deliveries (id, job, event, url, body, next_at, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
            ON CONFLICT DO NOTHING";
        self.threads
            .write(Durability::Disk, move |writer| {
                let mut add = writer.connection.prepare_cached(ADD)?;
                let mut added = 0;
                for NewDelivery { id, job, event, url, body } in deliveries {
                    added += add.execute(params![id, job.as_bytes(), event, url, body, micros(now)])?;
                }
                Ok(u32::try_from(added).unwrap_or(u32::MAX))
            })
            .await
    }

    async fn due(&self, ask: DueAsk) -> Result<Vec<Delivery>, StoreError> {
        const TAKE: &str = "-- delivery::take
            UPDATE deliveries SET attempts = attempts + 1, next_at = ?2 WHERE no = ?1
            RETURNING id, job, event, url, body, state, attempts, next_at, last_status, last_error, created_at, ended_at,
                (SELECT key FROM jobs WHERE jobs.id = deliveries.job)";
        let until = micros(ask.now.checked_add(ask.lease).unwrap_or(Timestamp::MAX));
        self.threads
            .write(Durability::Disk, move |writer| {
                let due = chosen(&writer.connection, &ask)?;
                let mut take = writer.connection.prepare_cached(TAKE)?;
                let taken = due.into_iter().map(|no| take.query_row(params![no, until], delivery));
                Ok(taken.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn delivered(
        &self,
        delivery: &Delivery,
        end: DeliveryEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const END: &str = "-- delivery::end
            UPDATE deliveries SET state = ?3, next_at = coalesce(?4, next_at), last_status = ?5, last_error = ?6,
                ended_at = iif(?3 = 'pending', NULL, ?7)
            WHERE id = ?1 AND attempts = ?2 AND state = 'pending'";
        let (id, attempts) = (delivery.new.id.clone(), delivery.attempts);
        let (to, next_at, status, error) = end.left();
        self.threads
            .write(Durability::Disk, move |writer| {
                let next_at = next_at.map(micros);
                let values = params![id, attempts, to.as_str(), next_at, status, error, micros(now)];
                Ok(writer.connection.prepare_cached(END)?.execute(values)? == 1)
            })
            .await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        const WAITING: &str = "-- delivery::waiting
            SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state = 'pending' LIMIT ?1)";
        const FIRST: &str = "-- delivery::first
            SELECT min(next_at) FROM deliveries WHERE state = 'pending'";
        self.threads
            .read(move |connection| {
                let mut count = connection.prepare_cached(WAITING)?;
                let waiting = count.query_row([Backlog::MOST], |row| row.get(0))?;
                let mut first = connection.prepare_cached(FIRST)?;
                let first = first.query_row([], |row| maybe_time(row, 0))?;
                Ok(Backlog { waiting, late: first.map_or(Duration::ZERO, |first| late(first, now)) })
            })
            .await
    }

    async fn deliveries(
        &self,
        job: JobId,
        after: Option<String>,
        n: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        const OF_JOB: &str = "-- delivery::of_job
            SELECT id, job, event, url, body, state, attempts, next_at, last_status, last_error, created_at, ended_at,
                (SELECT key FROM jobs WHERE jobs.id = deliveries.job)
            FROM deliveries WHERE job = ?1 AND (?2 IS NULL OR no > (SELECT no FROM deliveries WHERE id = ?2))
            ORDER BY no LIMIT ?3";
        self.threads
            .read(move |connection| {
                let mut query = connection.prepare_cached(OF_JOB)?;
                let deliveries = query.query_map(params![job.as_bytes(), after, n], delivery)?;
                Ok(deliveries.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }
}

/// Those whose turn it is.
fn chosen(connection: &Connection, ask: &DueAsk) -> rusqlite::Result<Vec<i64>> {
    const DUE: &str = "-- delivery::due
        SELECT deliveries.no, coalesce(jobs.key, ''), deliveries.url
        FROM deliveries LEFT JOIN jobs ON jobs.id = deliveries.job
        WHERE deliveries.state = 'pending' AND deliveries.next_at <= ?1 ORDER BY deliveries.next_at, deliveries.no";
    let mut query = connection.prepare_cached(DUE)?;
    let due = query.query_map([micros(ask.now)], |row| {
        let url: String = row.get(2)?;
        Ok(Waiting { at: row.get(0)?, key: row.get(1)?, receiver: receiver_of(&url) })
    })?;
    let mut lines = Lines::new(ask);
    lines.fill(due)?;
    Ok(lines.take(ask.n))
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let key = row.get::<_, Option<String>>(12)?.map(KeyId::new).transpose();
    Ok(Delivery {
        new: NewDelivery {
            id: row.get(0)?,
            job: JobId::from_bytes(row.get(1)?),
            event: row.get(2)?,
            url: row.get(3)?,
            body: row.get(4)?,
        },
        key: key
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(12, DbType::Text, Box::new(error)))?,
        state: state::<DeliveryState>(row, 5)?,
        attempts: row.get(6)?,
        next_at: time(row, 7)?,
        last_status: row.get(8)?,
        last_error: row.get(9)?,
        created_at: time(row, 10)?,
        ended_at: maybe_time(row, 11)?,
    })
}
