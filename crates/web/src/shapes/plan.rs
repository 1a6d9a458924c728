//! What becomes of a submission: a plan, or an accepted job.

use beacon_domain::{EndpointId, JobId, JobState};
use beacon_scheduler::{EndpointLoad, Estimate};
use beacon_spec::{JobName, KeyId, Sha256Digest, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::names;

/// What would run, and what it would take; nothing is stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct Planned {
    /// The id that the job would have.
    #[schema(value_type = names::JobId)]
    pub(crate) job_id: JobId,
    #[schema(value_type = String)]
    pub(crate) name: JobName,
    #[schema(value_type = String)]
    pub(crate) key: KeyId,
    /// SHA-256 of the signed bytes.
    #[schema(value_type = String)]
    pub(crate) spec_digest: Sha256Digest,
    /// All executions.
    executions: u32,
    /// Those that no endpoint serves.
    unsupported: u32,
    /// Questions.
    batches: u32,
    /// Its time limit, which begins at acceptance.
    pub(crate) time_limit_s: f64,
    /// No schedule can be faster when every endpoint starts cold; null when an endpoint has no timing.
    lower_bound_s: Option<f64>,
    /// Warm seconds × price, in millionths of a dollar; null when an endpoint has no timing.
    cost_micros: Option<u64>,
    /// By endpoint, in order of id.
    endpoints: Vec<Load>,
}

/// One endpoint's share of a plan.
#[derive(Debug, Serialize, ToSchema)]
struct Load {
    #[schema(value_type = String)]
    endpoint: EndpointId,
    executions: u32,
    limit: u32,
    lower_bound_s: Option<f64>,
}

/// An accepted job, or the one that the same bytes made before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The job; also the id of its trace.
    #[schema(value_type = names::JobId)]
    pub(crate) id: JobId,
    /// The same as `id`.
    #[schema(value_type = names::JobId)]
    pub(crate) job_id: JobId,
    /// The signer's id for it.
    #[schema(value_type = String)]
    pub(crate) name: JobName,
    #[schema(value_type = names::JobState)]
    pub(crate) state: JobState,
    /// `enqueued` for a new job, else its state; for older clients.
    pub(crate) status: &'static str,
    /// Whether the same bytes were accepted before, and nothing changed.
    pub(crate) idempotent: bool,
    /// All executions of the plan.
    pub(crate) executions: usize,
    /// When it ends whatever happens; null for a job that was there before and is gone by now.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) lower_bound_s: Option<f64>,
    pub(crate) cost_micros_estimated: Option<u64>,
    pub(crate) links: Links,
}

/// Where to go on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Links {
    #[serde(rename = "self")]
    job: String,
    matrix: String,
    events: String,
    cancel: String,
}

impl Links {
    pub(crate) fn of(job: JobId) -> Self {
        let path = format!("/api/v1/jobs/{job}");
        let under = |what: &str| format!("{path}/{what}");
        Self { matrix: under("matrix"), events: under("events"), cancel: under("cancel"), job: path }
    }
}

impl Planned {
    /// What is estimated of this job.
    pub(crate) fn new(
        (job_id, name, key): (JobId, JobName, KeyId),
        spec_digest: Sha256Digest,
        estimate: Estimate,
        time_limit: std::time::Duration,
    ) -> Self {
        Self {
            job_id,
            name,
            key,
            spec_digest,
            executions: estimate.executions,
            unsupported: estimate.unsupported,
            batches: estimate.batches,
            time_limit_s: time_limit.as_secs_f64(),
            lower_bound_s: estimate.lower_bound.map(|bound| bound.as_secs_f64()),
            cost_micros: estimate.cost_micros,
            endpoints: estimate.endpoints.into_iter().map(Load::from).collect(),
        }
    }
}

impl From<EndpointLoad> for Load {
    fn from(load: EndpointLoad) -> Self {
        let EndpointLoad { endpoint, executions, limit, lower_bound } = load;
        Self { endpoint, executions, limit, lower_bound_s: lower_bound.map(|bound| bound.as_secs_f64()) }
    }
}
