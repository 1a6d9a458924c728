//! Answers by idempotency key (A5). The key's row decides between processes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{IdempotencyAsk, IdempotencyKey, IdempotencyLog, Idempotent, KeptAnswer, StoreError};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    PostgresStore,
    codec::{At, digest, int, number},
    error::Fault,
    transaction::{Kind, Line, Tx, Work},
};
use crate::idempotency::Begun;

const FORGET: &str = "-- answers::forget
    DELETE FROM beacon.idempotency WHERE (owner, key) IN (SELECT owner, key FROM beacon.idempotency
        WHERE begun_at < $1 ORDER BY begun_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
/// How many that are too old are removed at once.
const AT_ONCE: i64 = 16;

#[async_trait]
impl IdempotencyLog for PostgresStore {
    async fn begin(&self, ask: IdempotencyAsk) -> Result<Idempotent, StoreError> {
        self.core.connections.run(&Begin(&ask)).await
    }

    async fn known(&self, ask: IdempotencyAsk) -> Result<Option<Idempotent>, StoreError> {
        self.core.connections.run(&Known(&ask)).await
    }

    async fn finish(&self, key: IdempotencyKey, turn: u32, answer: KeptAnswer) -> Result<bool, StoreError> {
        self.core.connections.run(&Finish { key: &key, turn, answer: Some(&answer) }).await
    }

    async fn give_up(&self, key: IdempotencyKey, turn: u32) -> Result<(), StoreError> {
        self.core.connections.run(&Finish { key: &key, turn, answer: None }).await.map(drop)
    }

    async fn forget_answers(&self, before: Timestamp, n: u32) -> Result<u32, StoreError> {
        self.core.connections.run(&Forget { before, n }).await
    }
}

struct Begin<'a>(&'a IdempotencyAsk);

#[async_trait]
impl Work for Begin<'_> {
    type Output = Idempotent;
    const NAME: &'static str = "idempotency";
    const KIND: Kind = Kind::Queue;
    // A second run would meet the first one and wait for its answer.
    const REPLAYABLE: bool = false;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Idempotent, Fault> {
        const BEGIN: &str = "-- answers::begin
            INSERT INTO beacon.idempotency (owner, key, request, turn, begun_at) VALUES ($1, $2, $3, 1, $4)
            ON CONFLICT DO NOTHING";
        const KNOWN: &str = "-- answers::known
            SELECT request, turn, begun_at, status, body FROM beacon.idempotency WHERE owner = $1 AND key = $2 FOR UPDATE";
        const TAKE_OVER: &str = "-- answers::take_over
            UPDATE beacon.idempotency SET request = $3, begun_at = $4, turn = turn + 1, status = NULL, body = NULL
            WHERE owner = $1 AND key = $2";
        let IdempotencyAsk { key, request, now, .. } = self.0;
        let (request, now) = (request.as_bytes().as_slice(), At::from(*now));
        let values = [
            (&key.owner as _, Type::TEXT),
            (&key.key as _, Type::TEXT),
            (&request as _, Type::BYTEA),
            (&now as _, Type::TIMESTAMPTZ),
        ];
        if tx.execute(BEGIN, &values).await? == 1 {
            // Who adds one removes some that are too old: there are never many of those.
            let too_old = At::from(self.0.too_old());
            let values = [(&too_old as _, Type::TIMESTAMPTZ), (&AT_ONCE as _, Type::INT8)];
            tx.execute(FORGET, &values).await?;
            return Ok(Idempotent::First { turn: 1 });
        }
        // Whoever had it may have given it up since.
        let line = tx.maybe(KNOWN, &values[..2]).await?.ok_or(Fault::Raced)?;
        let known = begun(&line)?;
        if let Some(told) = known.meets(self.0) {
            return Ok(told);
        }
        tx.execute(TAKE_OVER, &values).await?;
        Ok(Idempotent::First { turn: known.turn + 1 })
    }
}

struct Known<'a>(&'a IdempotencyAsk);

#[async_trait]
impl Work for Known<'_> {
    type Output = Option<Idempotent>;
    const NAME: &'static str = "idempotency_known";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Option<Idempotent>, Fault> {
        const LOOK: &str = "-- answers::look
            SELECT request, turn, begun_at, status, body FROM beacon.idempotency WHERE owner = $1 AND key = $2";
        let IdempotencyKey { owner, key } = &self.0.key;
        let line = tx.maybe(LOOK, &[(owner as _, Type::TEXT), (key as _, Type::TEXT)]).await?;
        Ok(line.map(|line| begun(&line)).transpose()?.and_then(|known| known.meets(self.0)))
    }
}

fn begun(line: &Line) -> Result<Begun, Fault> {
    let status = line.get::<Option<i32>>(3)?.map(|status| u16::try_from(status).unwrap_or(0));
    let body = line.get::<Option<Vec<u8>>>(4)?;
    Ok(Begun {
        request: digest(line, 0)?,
        turn: number(line, 1)?,
        begun_at: line.get::<At>(2)?.time(),
        answer: status.zip(body).map(|(status, body)| KeptAnswer { status, body }),
    })
}

struct Finish<'a> {
    key: &'a IdempotencyKey,
    turn: u32,
    /// `None` gives it up.
    answer: Option<&'a KeptAnswer>,
}

#[async_trait]
impl Work for Finish<'_> {
    type Output = bool;
    const NAME: &'static str = "idempotency_end";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<bool, Fault> {
        // The same answer twice, as after a commit whose own answer was lost, is taken twice.
        const FINISH: &str = "-- answers::finish
            UPDATE beacon.idempotency SET status = $4, body = $5 WHERE owner = $1 AND key = $2 AND turn = $3
                AND (status IS NULL OR (status = $4 AND body = $5))";
        const GIVE_UP: &str = "-- answers::give_up
            DELETE FROM beacon.idempotency WHERE owner = $1 AND key = $2 AND turn = $3 AND status IS NULL";
        let turn = int(self.turn);
        let key =
            [(&self.key.owner as _, Type::TEXT), (&self.key.key as _, Type::TEXT), (&turn as _, Type::INT4)];
        let Some(KeptAnswer { status, body }) = self.answer else {
            return Ok(tx.execute(GIVE_UP, &key).await? == 1);
        };
        let status = i32::from(*status);
        let [owner, name, turn] = key;
        let values = [owner, name, turn, (&status as _, Type::INT4), (body as _, Type::BYTEA)];
        Ok(tx.execute(FINISH, &values).await? == 1)
    }
}

struct Forget {
    before: Timestamp,
    n: u32,
}

#[async_trait]
impl Work for Forget {
    type Output = u32;
    const NAME: &'static str = "forget_answers";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<u32, Fault> {
        let before = At::from(self.before);
        let values = [(&before as _, Type::TIMESTAMPTZ), (&i64::from(self.n) as _, Type::INT8)];
        Ok(u32::try_from(tx.execute(FORGET, &values).await?).unwrap_or(u32::MAX))
    }
}
