//! Quotas of keys, held in the transaction of the acceptance.

use async_trait::async_trait;
use beacon_domain::{Acceptance, QuotaStore, QuotaUse, StoreError};
use beacon_spec::{KeyId, Quota, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    SqliteStore,
    codec::micros,
    writer::{Durability, Fault, Writer},
};
use crate::rules::{MOST_MICROS, day, day_starts, to_run};

#[async_trait]
impl QuotaStore for SqliteStore {
    async fn set_quota(&self, key: KeyId, quota: Option<Quota>, now: Timestamp) -> Result<(), StoreError> {
        const SET: &str = "-- quota::set
            INSERT OR REPLACE INTO quotas (key, open_executions, jobs_per_day, spend_per_day, set_at)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        const UNSET: &str = "-- quota::unset
            DELETE FROM quotas WHERE key = ?1";
        self.threads
            .write(Durability::Disk, move |writer| {
                let key = key.as_str();
                match quota {
                    Some(Quota { open_executions, jobs_per_day, spend_per_day_micros }) => {
                        let spend = spend_per_day_micros.map(|micros| micros.min(MOST_MICROS) as i64);
                        let values = params![key, open_executions, jobs_per_day, spend, micros(now)];
                        writer.connection.prepare_cached(SET)?.execute(values)?
                    }
                    None => writer.connection.prepare_cached(UNSET)?.execute([key])?,
                };
                Ok(())
            })
            .await
    }

    async fn quota(&self, key: KeyId, now: Timestamp) -> Result<(Option<Quota>, QuotaUse), StoreError> {
        self.threads.read(move |connection| Ok((set(connection, &key)?, used(connection, &key, now)?))).await
    }
}

impl Writer {
    /// The cost cap that the job has under its key's quota.
    pub(crate) fn admit(&self, acceptance: &Acceptance) -> Result<Option<u64>, Fault> {
        let key = acceptance.spec.key();
        let quota = set(&self.connection, key)?.unwrap_or(acceptance.quota);
        if quota.is_unlimited() {
            return Ok(acceptance.cost_cap_micros);
        }
        let used = used(&self.connection, key, acceptance.now)?;
        let tomorrow = day_starts(day(acceptance.now) + 1);
        let admitted = used.admit(&quota, to_run(&acceptance.plan), acceptance.cost_cap_micros, tomorrow);
        Ok(admitted.map_err(StoreError::OverQuota)?)
    }
}

fn set(connection: &Connection, key: &KeyId) -> Result<Option<Quota>, Fault> {
    const QUOTA: &str = "-- quota::of_key
        SELECT open_executions, jobs_per_day, spend_per_day FROM quotas WHERE key = ?1";
    let quota = connection.prepare_cached(QUOTA)?.query_row([key.as_str()], |row| {
        Ok(Quota {
            open_executions: row.get(0)?,
            jobs_per_day: row.get(1)?,
            spend_per_day_micros: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
        })
    });
    Ok(quota.optional()?)
}

fn used(connection: &Connection, key: &KeyId, now: Timestamp) -> Result<QuotaUse, Fault> {
    const OPEN: &str = "-- quota::open
        SELECT coalesce(sum(blocked + queued + running), 0) FROM jobs INDEXED BY jobs_open_of_key
        JOIN batches ON batches.job = jobs.no WHERE key = ?1 AND jobs.ended_at IS NULL";
    const TODAY: &str = "-- quota::today
        SELECT count(*), total(iif(ended_at IS NULL, max(cost, coalesce(cost_cap, 0)), cost))
        FROM jobs INDEXED BY jobs_of_key WHERE key = ?1 AND accepted_at >= ?2 AND accepted_at < ?3";
    let open: i64 = connection.prepare_cached(OPEN)?.query_row([key.as_str()], |row| row.get(0))?;
    let [from, to] = [day(now), day(now) + 1].map(|day| micros(day_starts(day)));
    let mut today = connection.prepare_cached(TODAY)?;
    let (jobs, spend): (i64, f64) =
        today.query_row(params![key.as_str(), from, to], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // A sum of whole numbers: exact below nine billion dollars.
    let spend_today_micros = spend as u64;
    Ok(QuotaUse { open_executions: open.unsigned_abs(), jobs_today: jobs.unsigned_abs(), spend_today_micros })
}
