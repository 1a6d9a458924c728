//! How a scheduler behaves; every default is safe.

use std::{collections::BTreeMap, time::Duration};

use beacon_domain::{AccountId, DayBudget};

use crate::RetryPolicy;

/// Settings of one scheduler.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// Calls in flight in this process.
    pub slots: u32,
    /// Calls in flight over all processes, if limited.
    pub global_limit: Option<u32>,
    /// Calls in flight by provider account.
    pub account_limits: BTreeMap<AccountId, u32>,
    /// Spending per UTC day, if capped.
    pub day_budget: Option<DayBudget>,
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// How long an endpoint stays warm without calls.
    pub warm_for: Duration,
    /// How long the store may fail before the scheduler gives up; `None` waits for ever. Until then no call is
    /// started and answers wait in memory.
    pub store_patience: Option<Duration>,
    /// Whether a drain leaves calls that can be found again instead of waiting for their end: a service stops sooner,
    /// and the next worker re-attaches.
    pub detach_on_drain: bool,
    /// When to try again.
    pub retry: RetryPolicy,
    /// The time limits.
    pub timeouts: Timeouts,
}

/// Time limits, from the inside out; each must be shorter than the next (S6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// One attempt, from its dispatch.
    pub attempt: Duration,
    /// One execution with all its attempts, from its first dispatch.
    pub execution: Duration,
    /// How long an execution may wait for its first dispatch; `None` leaves it to the job's limit.
    pub queue: Option<Duration>,
    /// A whole job, when its spec gives no limit.
    pub job: Duration,
}

/// Settings that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// Time limits out of order.
    #[error("time limits must nest: attempt ({attempt:?}) < execution ({execution:?}) <= job ({job:?})")]
    TimeoutsDoNotNest {
        /// One attempt.
        attempt: Duration,
        /// One execution.
        execution: Duration,
        /// A job.
        job: Duration,
    },
    /// Nothing could ever run.
    #[error("slots must be at least 1")]
    NoSlots,
}

impl SchedulerOptions {
    /// Checks that the settings can work.
    ///
    /// # Errors
    /// The time limits do not nest, or there are no slots.
    pub fn check(&self) -> Result<(), OptionsError> {
        let Timeouts { attempt, execution, job, .. } = self.timeouts;
        if attempt >= execution || execution > job {
            return Err(OptionsError::TimeoutsDoNotNest { attempt, execution, job });
        }
        if self.slots == 0 { Err(OptionsError::NoSlots) } else { Ok(()) }
    }
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            slots: 1024,
            global_limit: None,
            account_limits: BTreeMap::new(),
            day_budget: None,
            lease: Duration::from_secs(30),
            warm_for: Duration::from_secs(120),
            store_patience: None,
            detach_on_drain: false,
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self { attempt: Duration::from_secs(900), execution: 6 * hour, queue: None, job: 24 * hour }
    }
}
