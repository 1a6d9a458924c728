//! Jobs.

use beacon_domain::{
    BatchState, BatchView, Batching, EndReason, EndpointId, EndpointView, Failure, JobId, JobState,
    JobSummary, Page, StateCounts, Verdict,
};
use beacon_spec::{Close, JobName, KeyId, ModelId, QuestionId, Region, Sha256Digest, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Execution, names};

/// Executions by state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counts {
    /// Waiting for their batch.
    blocked: u32,
    /// Waiting for an endpoint or a retry.
    queued: u32,
    /// In flight.
    running: u32,
    /// With an answer.
    completed: u32,
    /// Without.
    failed: u32,
    cancelled: u32,
    /// Ended by a deadline.
    timed_out: u32,
    /// Served by no endpoint.
    unsupported: u32,
}

/// A job in one row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Job {
    #[schema(value_type = names::JobId)]
    id: JobId,
    /// The signer's id for it.
    #[schema(value_type = String)]
    name: JobName,
    /// The signer's key, by the ring's id.
    #[schema(value_type = String)]
    key: KeyId,
    /// 0 for the first run of a spec.
    generation: u32,
    /// The job it tries again, if any.
    #[schema(value_type = Option<String>)]
    retry_of: Option<JobId>,
    #[schema(value_type = names::JobState)]
    state: JobState,
    /// The same as `state`, for older clients.
    #[schema(value_type = names::JobState)]
    status: JobState,
    /// Why it ended early, if it did: `cancel`, `budget` or `deadline`.
    #[schema(value_type = Option<String>)]
    reason: Option<EndReason>,
    /// Whether it met its minima, once ended: `met` or `not_met`.
    #[schema(value_type = Option<String>)]
    verdict: Option<Verdict>,
    counts: Counts,
    /// All executions of the plan: the denominator of every share.
    total: u32,
    /// How questions follow each other.
    #[schema(value_type = names::Batching)]
    batching: Batching,
    /// SHA-256 of the signed bytes.
    #[schema(value_type = String)]
    spec_digest: Sha256Digest,
    #[schema(value_type = String, format = DateTime)]
    accepted_at: Timestamp,
    /// The same as `accepted_at`, for older clients.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its first execution was dispatched.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// When it ends whatever happens.
    #[schema(value_type = String, format = DateTime)]
    deadline: Timestamp,
    /// First dispatch to end, once ended.
    makespan_s: Option<f64>,
    /// No schedule can be faster, if known.
    lower_bound_s: Option<f64>,
    /// What it cost so far, in millionths of a dollar.
    cost_micros: u64,
    /// Its cap, if it has one.
    cost_cap_micros: Option<u64>,
    /// The signed close, once written.
    #[schema(value_type = Option<Object>)]
    close: Option<Close>,
}

/// A page of jobs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Jobs {
    jobs: Vec<Job>,
    /// Where the next page starts; null at the end.
    next: Option<String>,
}

/// One question batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Batch {
    #[schema(value_type = String)]
    question_id: QuestionId,
    /// The text as sent.
    text: String,
    /// From 1.
    number: u32,
    #[schema(value_type = names::BatchState)]
    state: BatchState,
    counts: Counts,
    /// First dispatch.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// Last end.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

/// One job with its batches, and what was asked for beside.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobAnswer {
    pub(crate) job: Job,
    /// The job's state, for older clients.
    #[schema(value_type = names::JobState)]
    pub(crate) status: JobState,
    pub(crate) batches: Vec<Batch>,
    /// With `include=endpoints`: the job's part of each endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoints: Option<Vec<OnEndpoint>>,
    /// With `include=failures`: why executions failed, the most frequent first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failures: Option<Vec<FailureLine>>,
    /// With `include=executions`: the first ones in the order of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executions: Option<Vec<Execution>>,
}

/// One endpoint's part of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OnEndpoint {
    #[schema(value_type = String)]
    endpoint: EndpointId,
    #[schema(value_type = String)]
    model_id: ModelId,
    #[schema(value_type = names::Region)]
    region: Region,
    counts: Counts,
}

/// Executions that ended without an answer for the same reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureLine {
    #[schema(value_type = Option<String>)]
    endpoint: Option<EndpointId>,
    #[schema(value_type = names::ExecutionState)]
    state: beacon_domain::ExecutionState,
    /// Stable.
    #[schema(value_type = String)]
    code: beacon_domain::ErrorCode,
    /// How many.
    executions: u32,
    /// What was said about the first of them.
    message: String,
}

/// What an event of a job's stream carries: the whole of how it stands, so that a missed event loses nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobProgress {
    pub(crate) job: Job,
    /// The batches that are open, at most 20.
    pub(crate) open_batches: Vec<Batch>,
}

impl From<StateCounts> for Counts {
    fn from(counts: StateCounts) -> Self {
        let StateCounts { blocked, queued, running, completed, failed, cancelled, timed_out, unsupported } =
            counts;
        Self { blocked, queued, running, completed, failed, cancelled, timed_out, unsupported }
    }
}

impl From<JobSummary> for Job {
    fn from(job: JobSummary) -> Self {
        Self {
            id: job.id,
            retry_of: job.retry_of,
            generation: job.generation,
            state: job.state,
            status: job.state,
            reason: job.reason,
            verdict: job.verdict,
            total: job.counts.total(),
            counts: job.counts.into(),
            batching: job.batching,
            spec_digest: job.spec_digest,
            accepted_at: job.accepted_at,
            created_at: job.accepted_at,
            started_at: job.started_at,
            ended_at: job.ended_at,
            deadline: job.deadline,
            makespan_s: job.makespan().map(|span| span.as_secs_f64()),
            lower_bound_s: job.lower_bound.map(|bound| bound.as_secs_f64()),
            cost_micros: job.cost_micros,
            cost_cap_micros: job.cost_cap_micros,
            name: job.name,
            key: job.key,
            close: job.close,
        }
    }
}

impl Jobs {
    /// Nothing.
    pub(crate) const fn none() -> Self {
        Self { jobs: Vec::new(), next: None }
    }
}

impl From<Page<JobSummary>> for Jobs {
    fn from(page: Page<JobSummary>) -> Self {
        Self { jobs: page.items.into_iter().map(Job::from).collect(), next: page.next }
    }
}

impl From<BatchView> for Batch {
    fn from(batch: BatchView) -> Self {
        Self {
            question_id: batch.question,
            text: batch.text,
            number: batch.number,
            state: batch.state,
            counts: batch.counts.into(),
            started_at: batch.started_at,
            ended_at: batch.ended_at,
        }
    }
}

impl From<EndpointView> for OnEndpoint {
    fn from(view: EndpointView) -> Self {
        let (endpoint, model_id, region) = (view.endpoint, view.model, view.region);
        Self { endpoint, model_id, region, counts: view.counts.into() }
    }
}

impl From<Failure> for FailureLine {
    fn from(failure: Failure) -> Self {
        let Failure { endpoint, state, code, executions, message } = failure;
        Self { endpoint, state, code, executions, message }
    }
}
