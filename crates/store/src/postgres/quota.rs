//! Quotas of keys, held within the acceptance: those of one key that has a quota come one after the other.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{Acceptance, QuotaStore, QuotaUse, StoreError};
use beacon_spec::{KeyId, Quota, Timestamp};
use tokio_postgres::types::Type;

use super::{
    PostgresStore,
    codec::{At, int},
    error::Fault,
    transaction::{Kind, Tx, Work},
};
use crate::rules::{MOST_MICROS, day, day_starts, to_run};

/// The first half of the advisory locks of keys: "quot" in ASCII.
const CLASS: i32 = 0x7175_6f74;

#[async_trait]
impl QuotaStore for PostgresStore {
    async fn set_quota(&self, key: KeyId, quota: Option<Quota>, now: Timestamp) -> Result<(), StoreError> {
        self.core.connections.run(&SetQuota { key: &key, quota, now }).await
    }

    async fn quota(&self, key: KeyId, now: Timestamp) -> Result<(Option<Quota>, QuotaUse), StoreError> {
        self.core.connections.run(&QuotaOf { key: &key, now }).await
    }
}

/// The cost cap that the job has under its key's quota.
pub(crate) async fn admit(tx: &Tx, acceptance: &Acceptance) -> Result<Option<u64>, Fault> {
    const LOCK: &str = "-- quota::lock
        SELECT pg_advisory_xact_lock($1, hashtext($2))::text";
    let key = acceptance.spec.key();
    let quota = set(tx, key).await?.unwrap_or(acceptance.quota);
    if quota.is_unlimited() {
        return Ok(acceptance.cost_cap_micros);
    }
    tx.rows(LOCK, &[(&CLASS, Type::INT4), (&key.as_str(), Type::TEXT)]).await?;
    // Counted after the lock: what the holder before accepted is there.
    let used = used(tx, key, acceptance.now).await?;
    let tomorrow = day_starts(day(acceptance.now) + 1);
    let admitted = used.admit(&quota, to_run(&acceptance.plan), acceptance.cost_cap_micros, tomorrow);
    Ok(admitted.map_err(StoreError::OverQuota)?)
}

async fn set(tx: &Tx, key: &KeyId) -> Result<Option<Quota>, Fault> {
    const QUOTA: &str = "-- quota::of_key
        SELECT open_executions, jobs_per_day, spend_per_day FROM beacon.quotas WHERE key = $1";
    let Some(line) = tx.maybe(QUOTA, &[(&key.as_str(), Type::TEXT)]).await? else { return Ok(None) };
    Ok(Some(Quota {
        open_executions: line.get::<Option<i32>>(0)?.map(i32::unsigned_abs),
        jobs_per_day: line.get::<Option<i32>>(1)?.map(i32::unsigned_abs),
        spend_per_day_micros: line.get::<Option<i64>>(2)?.map(i64::unsigned_abs),
    }))
}

async fn used(tx: &Tx, key: &KeyId, now: Timestamp) -> Result<QuotaUse, Fault> {
    // No more jobs are open than executions, so the quota bounds what is read.
    const OPEN: &str = "-- quota::open
        SELECT coalesce(sum(blocked + queued + running), 0)::int8 FROM beacon.jobs JOIN beacon.batches ON job = no
        WHERE key = $1 AND jobs.ended_at IS NULL";
    const TODAY: &str = "-- quota::today
        SELECT count(*), least(coalesce(sum(CASE WHEN ended_at IS NULL THEN greatest(cost, cost_cap) ELSE cost END), 0),
            9223372036854775807)::int8
        FROM beacon.jobs WHERE key = $1 AND accepted_at >= $2 AND accepted_at < $3";
    let [from, to] = [day(now), day(now) + 1].map(|day| At::from(day_starts(day)));
    let key = key.as_str();
    let values = [(&key as _, Type::TEXT), (&from as _, Type::TIMESTAMPTZ), (&to as _, Type::TIMESTAMPTZ)];
    let (open, today) = futures::try_join!(tx.one(OPEN, &values[..1]), tx.one(TODAY, &values))?;
    Ok(QuotaUse {
        open_executions: open.get::<i64>(0)?.unsigned_abs(),
        jobs_today: today.get::<i64>(0)?.unsigned_abs(),
        spend_today_micros: today.get::<i64>(1)?.unsigned_abs(),
    })
}

struct SetQuota<'a> {
    key: &'a KeyId,
    quota: Option<Quota>,
    now: Timestamp,
}

#[async_trait]
impl Work for SetQuota<'_> {
    type Output = ();
    const NAME: &'static str = "set_quota";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        const SET: &str = "-- quota::set
            INSERT INTO beacon.quotas (key, open_executions, jobs_per_day, spend_per_day, set_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (key) DO UPDATE SET open_executions = excluded.open_executions,
                jobs_per_day = excluded.jobs_per_day, spend_per_day = excluded.spend_per_day, set_at = excluded.set_at";
        const UNSET: &str = "-- quota::unset
            DELETE FROM beacon.quotas WHERE key = $1";
        let key = self.key.as_str();
        let Some(Quota { open_executions, jobs_per_day, spend_per_day_micros }) = self.quota else {
            return tx.execute(UNSET, &[(&key, Type::TEXT)]).await.map(drop);
        };
        let (open, jobs) = (open_executions.map(int), jobs_per_day.map(int));
        let spend = spend_per_day_micros.map(|micros| micros.min(MOST_MICROS) as i64);
        let now = At::from(self.now);
        let values = [
            (&key as _, Type::TEXT),
            (&open as _, Type::INT4),
            (&jobs as _, Type::INT4),
            (&spend as _, Type::INT8),
            (&now as _, Type::TIMESTAMPTZ),
        ];
        tx.execute(SET, &values).await.map(drop)
    }
}

struct QuotaOf<'a> {
    key: &'a KeyId,
    now: Timestamp,
}

#[async_trait]
impl Work for QuotaOf<'_> {
    type Output = (Option<Quota>, QuotaUse);
    const NAME: &'static str = "quota";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(Option<Quota>, QuotaUse), Fault> {
        Ok((set(tx, self.key).await?, used(tx, self.key, self.now).await?))
    }
}
