//! Acceptance: a verified spec and its plan become a job with all its executions.

use std::time::Duration;

use beacon_domain::{Acceptance, Accepted, Clock, JobId, JobStore, Plan, StoreError};
use beacon_spec::{Timestamp, VerifiedSpec};

use crate::{EndpointCatalog, Ports, SchedulerOptions, estimate};

/// What is submitted, beside the spec and its plan.
#[derive(Debug, Clone, Copy)]
pub struct Submission {
    /// 0 for the first run of a spec.
    pub generation: u32,
    /// The job whose failed executions this one tries again.
    pub retry_of: Option<JobId>,
    /// The key's share against other keys; 1 is normal.
    pub weight: u32,
    /// Whether a nonce that was used before is refused.
    pub nonce_must_be_new: bool,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// A new job, or the one that was there.
    pub accepted: Accepted,
    /// When a new job ends whatever happens. One that was there has a deadline of its own.
    pub deadline: Timestamp,
}

/// A job that cannot be accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The deadline is sooner than any schedule could be.
    #[error(
        "constraints.timeout is {timeout:?}, but the plan takes at least {lower_bound:?}; \
         raise the timeout, or ask fewer questions"
    )]
    DeadlineCannotHold {
        /// What the spec asks.
        timeout: Duration,
        /// What no schedule can beat.
        lower_bound: Duration,
    },
    /// One attempt may take longer than the whole job.
    #[error("constraints.provider_timeout ({provider:?}) must be shorter than constraints.timeout ({job:?})")]
    TimeoutsDoNotNest {
        /// One attempt.
        provider: Duration,
        /// The whole job.
        job: Duration,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes the job, or finds the one that the same bytes made before.
///
/// # Errors
/// The deadline cannot hold, or the store refuses.
pub async fn submit(
    ports: &Ports,
    options: &SchedulerOptions,
    catalog: &EndpointCatalog,
    what: (VerifiedSpec, Plan),
    submission: Submission,
) -> Result<Accepted, AcceptError> {
    let desk =
        Desk { clock: ports.clock.as_ref(), jobs: ports.jobs.as_ref(), job_limit: options.timeouts.job };
    Ok(desk.submit(catalog, what, submission).await?.accepted)
}

/// Where jobs are accepted; needs no worker.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Time.
    pub clock: &'a dyn Clock,
    /// Where they are kept.
    pub jobs: &'a dyn JobStore,
    /// A job's time limit when its spec gives none.
    pub job_limit: Duration,
}

impl Desk<'_> {
    /// Writes the job, or finds the one that the same bytes made before.
    ///
    /// # Errors
    /// The deadline cannot hold, or the store refuses.
    pub async fn submit(
        &self,
        catalog: &EndpointCatalog,
        (spec, plan): (VerifiedSpec, Plan),
        submission: Submission,
    ) -> Result<Submitted, AcceptError> {
        let lower_bound = estimate(&plan, catalog).lower_bound;
        let limit = time_limit(&spec, lower_bound, self.job_limit)?;
        let now = self.clock.now();
        let deadline = now.checked_add(limit).unwrap_or(Timestamp::MAX);
        // As exact as stores keep it, so that it is told the same now and later.
        let deadline = Timestamp::from_microsecond(deadline.as_microsecond()).unwrap_or(deadline);
        let acceptance = Acceptance {
            job: JobId::derive(spec.key(), &spec.spec().name, submission.generation),
            generation: submission.generation,
            retry_of: submission.retry_of,
            deadline,
            lower_bound,
            cost_cap_micros: spec.spec().constraints.max_cost_micros,
            weight: submission.weight,
            quota: spec.quota(),
            nonce_must_be_new: submission.nonce_must_be_new,
            now,
            spec,
            plan,
        };
        Ok(Submitted { accepted: self.jobs.accept(acceptance).await?, deadline })
    }
}

/// The job's time limit: the spec's, or a finite one by default (L7).
///
/// # Errors
/// The spec's limits do not nest, or are shorter than the plan takes at least.
pub fn time_limit(
    spec: &VerifiedSpec,
    lower_bound: Option<Duration>,
    job_limit: Duration,
) -> Result<Duration, AcceptError> {
    let constraints = &spec.spec().constraints;
    let Some(timeout) = constraints.timeout else {
        let needed = lower_bound.unwrap_or_default().saturating_mul(4);
        return Ok(job_limit.max(needed));
    };
    if let Some(provider) = constraints.provider_timeout.filter(|provider| *provider > timeout) {
        return Err(AcceptError::TimeoutsDoNotNest { provider, job: timeout });
    }
    match lower_bound {
        Some(lower_bound) if lower_bound > timeout => {
            Err(AcceptError::DeadlineCannotHold { timeout, lower_bound })
        }
        _ => Ok(timeout),
    }
}
