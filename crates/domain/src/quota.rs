//! Quotas of a signer's key, held within acceptance.

use std::fmt;

use async_trait::async_trait;
use beacon_spec::{KeyId, Quota, Timestamp};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Quotas that an operator set; a key without one has that of [`crate::Acceptance::quota`].
#[async_trait]
pub trait QuotaStore: Send + Sync {
    /// Sets the quota of a key, or with `None` takes it back. Jobs that were accepted stay.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn set_quota(&self, key: KeyId, quota: Option<Quota>, now: Timestamp) -> Result<(), StoreError>;

    /// The quota that was set for a key, and what of it is used.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn quota(&self, key: KeyId, now: Timestamp) -> Result<(Option<Quota>, QuotaUse), StoreError>;
}

/// What a key has of its quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuotaUse {
    /// Executions that are not terminal.
    pub open_executions: u64,
    /// Jobs accepted today.
    pub jobs_today: u64,
    /// What today's jobs have cost or may still cost, in millionths of a dollar.
    pub spend_today_micros: u64,
}

/// Which quota refuses a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaKind {
    /// Executions that are not terminal.
    OpenExecutions,
    /// Jobs accepted in one day.
    JobsPerDay,
    /// Money of one day, in millionths of a dollar.
    SpendPerDay,
}

/// A job that a quota refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaExceeded {
    /// Which quota.
    pub quota: QuotaKind,
    /// The quota.
    pub limit: u64,
    /// What is used of it.
    pub used: u64,
    /// What the job asks.
    pub asked: u64,
    /// When all of it is free again; `None` if it frees as executions end.
    pub frees_at: Option<Timestamp>,
}

impl QuotaUse {
    /// Whether a job of so many executions that are to run fits into the quota beside what is used. Gives the cost cap
    /// that the job then has.
    ///
    /// # Errors
    /// The first quota that it exceeds.
    pub fn admit(
        &self,
        quota: &Quota,
        executions: u64,
        cost_cap_micros: Option<u64>,
        tomorrow: Timestamp,
    ) -> Result<Option<u64>, QuotaExceeded> {
        let within = |quota, limit: Option<u64>, used: u64, asked: u64, frees_at| match limit {
            Some(limit) if used.saturating_add(asked) > limit => {
                Err(QuotaExceeded { quota, limit, used, asked, frees_at })
            }
            _ => Ok(()),
        };
        let (open, jobs) = (quota.open_executions.map(u64::from), quota.jobs_per_day.map(u64::from));
        within(QuotaKind::OpenExecutions, open, self.open_executions, executions, None)?;
        within(QuotaKind::JobsPerDay, jobs, self.jobs_today, 1, Some(tomorrow))?;
        let Some(spend) = quota.spend_per_day_micros else { return Ok(cost_cap_micros) };
        // A job without a cap asks for whatever is left, and that must be something.
        let asked = cost_cap_micros.unwrap_or(1);
        within(QuotaKind::SpendPerDay, Some(spend), self.spend_today_micros, asked, Some(tomorrow))?;
        Ok(Some(cost_cap_micros.unwrap_or(spend - self.spend_today_micros)))
    }
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, used, asked, .. } = self;
        match self.quota {
            QuotaKind::OpenExecutions => {
                write!(f, "the key has {used} of {limit} open executions, the job would add {asked}")?;
            }
            QuotaKind::JobsPerDay => write!(f, "the key has used its {limit} jobs of today")?,
            QuotaKind::SpendPerDay => {
                let dollars = |micros: u64| micros as f64 / 1e6;
                write!(
                    f,
                    "today's jobs of the key may cost {} of {} dollars, this one asks {}",
                    dollars(*used),
                    dollars(*limit),
                    dollars(*asked)
                )?;
            }
        }
        match self.frees_at {
            Some(at) => write!(f, "; try again at {at}"),
            None => f.write_str("; try again when some have ended, or cancel some"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_fits_up_to_each_quota_and_no_further() {
        let quota =
            Quota { open_executions: Some(10), jobs_per_day: Some(2), spend_per_day_micros: Some(100) };
        let used = |open, jobs, spend| QuotaUse {
            open_executions: open,
            jobs_today: jobs,
            spend_today_micros: spend,
        };
        let check = |used: QuotaUse, executions, cap, expected: Result<Option<u64>, QuotaKind>| {
            let admitted = used.admit(&quota, executions, cap, Timestamp::UNIX_EPOCH);
            assert_eq!(admitted.map_err(|exceeded| exceeded.quota), expected);
        };

        check(used(6, 1, 60), 4, Some(40), Ok(Some(40)));
        check(used(6, 1, 60), 5, Some(40), Err(QuotaKind::OpenExecutions));
        check(used(6, 2, 60), 4, Some(40), Err(QuotaKind::JobsPerDay));
        check(used(6, 1, 61), 4, Some(40), Err(QuotaKind::SpendPerDay));
        check(used(6, 1, 61), 4, None, Ok(Some(39)));
        check(used(6, 1, 100), 4, None, Err(QuotaKind::SpendPerDay));
        assert_eq!(used(u64::MAX, 9, 9).admit(&Quota::default(), 9, None, Timestamp::MAX), Ok(None));
    }
}
