//! Quotas of keys, held under the same lock as the acceptance.

use async_trait::async_trait;
use beacon_domain::{Acceptance, QuotaStore, QuotaUse, StoreError};
use beacon_spec::{KeyId, Quota, Timestamp};

use super::{MemoryStore, state::State};
use crate::rules::{day, day_starts, to_run};

#[async_trait]
impl QuotaStore for MemoryStore {
    async fn set_quota(&self, key: KeyId, quota: Option<Quota>, _: Timestamp) -> Result<(), StoreError> {
        self.write(|state| match quota {
            Some(quota) => drop(state.desk.quotas.insert(key, quota)),
            None => drop(state.desk.quotas.remove(&key)),
        });
        Ok(())
    }

    async fn quota(&self, key: KeyId, now: Timestamp) -> Result<(Option<Quota>, QuotaUse), StoreError> {
        let state = self.read();
        Ok((state.desk.quotas.get(&key).copied(), state.quota_use(&key, now)))
    }
}

impl State {
    /// The cost cap that the job has under its key's quota.
    pub(super) fn admit(&self, acceptance: &Acceptance) -> Result<Option<u64>, StoreError> {
        let key = acceptance.spec.key();
        let quota = self.desk.quotas.get(key).copied().unwrap_or(acceptance.quota);
        if quota.is_unlimited() {
            return Ok(acceptance.cost_cap_micros);
        }
        let used = self.quota_use(key, acceptance.now);
        let tomorrow = day_starts(day(acceptance.now) + 1);
        let admitted = used.admit(&quota, to_run(&acceptance.plan), acceptance.cost_cap_micros, tomorrow);
        admitted.map_err(StoreError::OverQuota)
    }

    fn quota_use(&self, key: &KeyId, now: Timestamp) -> QuotaUse {
        let today = day(now);
        let mut used = QuotaUse::default();
        for job in self.jobs.iter().filter(|job| job.spec.key() == key) {
            used.open_executions += u64::from(job.counts().open());
            if day(job.accepted_at) == today {
                let reserved = job.cost_cap_micros.filter(|_| job.ended_at.is_none()).unwrap_or(0);
                used.jobs_today += 1;
                used.spend_today_micros =
                    used.spend_today_micros.saturating_add(job.cost_micros.max(reserved));
            }
        }
        used
    }
}
