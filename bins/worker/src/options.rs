//! The scheduler's options, from the configuration.

use beacon_boot::{EndpointsFile, WorkerConfig};
use beacon_domain::{AccountId, DayBudget};
use beacon_scheduler::{RetryPolicy, SchedulerOptions, Timeouts};

/// What the configuration asks for.
pub(crate) fn options(worker: &WorkerConfig, endpoints: &EndpointsFile) -> SchedulerOptions {
    let accounts = endpoints.accounts.iter();
    let defaults = Timeouts::default();
    SchedulerOptions {
        slots: worker.slots,
        global_limit: endpoints.global_limit,
        account_limits: accounts
            .map(|(name, account)| (AccountId::new(name.as_str()), account.limit))
            .collect(),
        day_budget: worker.day_budget_micros.map(|cap_micros| DayBudget { cap_micros }),
        lease: worker.lease,
        warm_for: worker.warm,
        // A service waits for its database as long as it takes.
        store_patience: None,
        detach_on_drain: true,
        retry: RetryPolicy { unreachable: worker.unreachable, ..RetryPolicy::default() },
        timeouts: Timeouts {
            attempt: worker.attempt,
            execution: worker.execution,
            job: defaults.job.max(worker.execution),
            ..defaults
        },
    }
}
