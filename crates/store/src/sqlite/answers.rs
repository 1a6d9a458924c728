//! Answers by idempotency key (A5).

use async_trait::async_trait;
use beacon_domain::{IdempotencyAsk, IdempotencyKey, IdempotencyLog, Idempotent, KeptAnswer, StoreError};
use beacon_spec::{Sha256Digest, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    SqliteStore,
    codec::{micros, time},
    writer::{Durability, Fault, Writer},
};
use crate::idempotency::Begun;

const FORGET: &str = "-- answers::forget
    DELETE FROM idempotency WHERE (owner, key) IN (SELECT owner, key FROM idempotency INDEXED BY idempotency_by_age
        WHERE begun_at < ?1 ORDER BY begun_at LIMIT ?2)";
/// How many that are too old are removed at once.
const AT_ONCE: u32 = 16;

#[async_trait]
impl IdempotencyLog for SqliteStore {
    async fn begin(&self, ask: IdempotencyAsk) -> Result<Idempotent, StoreError> {
        self.threads.write(Durability::Disk, move |writer| writer.begin(&ask)).await
    }

    async fn known(&self, ask: IdempotencyAsk) -> Result<Option<Idempotent>, StoreError> {
        self.threads
            .read(move |connection| Ok(found(connection, &ask.key)?.and_then(|known| known.meets(&ask))))
            .await
    }

    async fn finish(&self, key: IdempotencyKey, turn: u32, answer: KeptAnswer) -> Result<bool, StoreError> {
        const FINISH: &str = "-- answers::finish
            UPDATE idempotency SET status = ?4, body = ?5
            WHERE owner = ?1 AND key = ?2 AND turn = ?3 AND (status IS NULL OR (status = ?4 AND body = ?5))";
        self.threads
            .write(Durability::Disk, move |writer| {
                let values = params![key.owner, key.key, turn, answer.status, answer.body];
                Ok(writer.connection.prepare_cached(FINISH)?.execute(values)? == 1)
            })
            .await
    }

    async fn give_up(&self, key: IdempotencyKey, turn: u32) -> Result<(), StoreError> {
        const GIVE_UP: &str = "-- answers::give_up
            DELETE FROM idempotency WHERE owner = ?1 AND key = ?2 AND turn = ?3 AND status IS NULL";
        self.threads
            .write(Durability::Process, move |writer| {
                writer.connection.prepare_cached(GIVE_UP)?.execute(params![key.owner, key.key, turn])?;
                Ok(())
            })
            .await
    }

    async fn forget_answers(&self, before: Timestamp, n: u32) -> Result<u32, StoreError> {
        self.threads
            .write(Durability::Process, move |writer| {
                let gone = writer.connection.prepare_cached(FORGET)?.execute(params![micros(before), n])?;
                Ok(u32::try_from(gone).unwrap_or(u32::MAX))
            })
            .await
    }
}

/// The request under a key, if there is one.
fn found(connection: &Connection, key: &IdempotencyKey) -> Result<Option<Begun>, Fault> {
    const KNOWN: &str = "-- answers::known
        SELECT request, turn, begun_at, status, body FROM idempotency WHERE owner = ?1 AND key = ?2";
    let begun = |row: &Row<'_>| {
        let (status, body): (Option<u16>, Option<Vec<u8>>) = (row.get(3)?, row.get(4)?);
        Ok(Begun {
            request: Sha256Digest::from_bytes(row.get(0)?),
            turn: row.get(1)?,
            begun_at: time(row, 2)?,
            answer: status.zip(body).map(|(status, body)| KeptAnswer { status, body }),
        })
    };
    let found = connection.prepare_cached(KNOWN)?.query_row(params![key.owner, key.key], begun);
    Ok(found.optional()?)
}

impl Writer {
    fn begin(&self, ask: &IdempotencyAsk) -> Result<Idempotent, Fault> {
        const BEGIN: &str = "-- answers::begin
            INSERT OR REPLACE INTO idempotency (owner, key, request, turn, begun_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        let (owner, key) = (&ask.key.owner, &ask.key.key);
        let known = found(&self.connection, &ask.key)?;
        if let Some(told) = known.as_ref().and_then(|known| known.meets(ask)) {
            return Ok(told);
        }
        let turn = known.map_or(1, |known| known.turn + 1);
        let values = params![owner, key, ask.request.as_bytes(), turn, micros(ask.now)];
        self.connection.prepare_cached(BEGIN)?.execute(values)?;
        // Who adds one removes some that are too old: there are never many of those.
        self.connection.prepare_cached(FORGET)?.execute(params![micros(ask.too_old()), AT_ONCE])?;
        Ok(Idempotent::First { turn })
    }
}
