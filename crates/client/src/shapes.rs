//! What the API answers, in the nouns of `domain` where they are the same. Fields that a newer server adds are left aside.

use beacon_domain::{
    BatchState, BatchView, DeliveryState, EndpointId, EndpointView, ExecutionState, Failure, JobId, JobState,
    JobSummary, Paused, StateCounts, Steered,
};
use beacon_spec::{JobName, ModelId, QuestionId, Region, Timestamp};
use serde::{Deserialize, Serialize};

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    /// The server's id of the job.
    pub job_id: JobId,
    /// The signer's id for it.
    pub name: JobName,
    /// Where it stands.
    pub state: JobState,
    /// Whether the same bytes were accepted before, and nothing changed.
    pub idempotent: bool,
    /// All executions of the plan.
    pub executions: u32,
    /// When it ends whatever happens.
    pub deadline: Option<Timestamp>,
    /// No schedule can be faster, if known.
    pub lower_bound_s: Option<f64>,
    /// What it should cost, in millionths of a dollar, if known.
    pub cost_micros_estimated: Option<u64>,
}

/// A page of jobs, the newest first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Jobs {
    /// The rows.
    pub jobs: Vec<JobSummary>,
    /// Where the next page starts; none at the end.
    pub next: Option<String>,
}

/// One job with its batches, and what was asked for beside.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JobAnswer {
    /// The row.
    pub job: JobSummary,
    /// By question, in order.
    pub batches: Vec<Batch>,
    /// The job's part of each endpoint; empty if it was not asked for.
    #[serde(default)]
    pub endpoints: Vec<OnEndpoint>,
    /// Why executions failed, the most frequent first; empty if it was not asked for.
    #[serde(default)]
    pub failures: Vec<Failure>,
}

/// One question batch.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Batch {
    /// The question.
    pub question_id: QuestionId,
    /// Its text as sent.
    pub text: String,
    /// From 1.
    pub number: u32,
    /// Where it stands.
    pub state: BatchState,
    /// Its executions by state.
    pub counts: StateCounts,
    /// First dispatch.
    pub started_at: Option<Timestamp>,
    /// Last end.
    pub ended_at: Option<Timestamp>,
}

/// One endpoint's part of a job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OnEndpoint {
    /// Which one.
    pub endpoint: EndpointId,
    /// The model that it serves.
    pub model_id: ModelId,
    /// Where.
    pub region: Region,
    /// The job's executions on it by state.
    pub counts: StateCounts,
}

/// Every cell of a job, in the order of the plan.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Matrix {
    /// The job.
    pub job_id: JobId,
    /// One per execution.
    pub cells: Vec<Cell>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Cell {
    /// The place in the plan, from 0.
    pub n: u32,
    /// The question.
    pub question_id: QuestionId,
    /// The model asked.
    pub model_id: ModelId,
    /// The region asked.
    pub region: Region,
    /// The repetition, from 1.
    pub run: u32,
    /// Who serves it.
    pub endpoint: Option<EndpointId>,
    /// Where it stands.
    pub state: ExecutionState,
    /// Attempts started.
    pub attempts: u32,
    /// When it may be tried again, while it waits for that.
    pub not_before: Option<Timestamp>,
}

/// A page of executions, in the order of the plan.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Executions {
    /// The rows.
    pub executions: Vec<Execution>,
    /// Where the next page starts; none at the end.
    pub next: Option<String>,
}

/// One execution.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Execution {
    /// The API's name of it.
    pub id: String,
    /// Its job.
    pub job_id: JobId,
    /// When it was first dispatched.
    pub started_at: Option<Timestamp>,
    /// What it is, and where it stands.
    #[serde(flatten)]
    pub cell: Cell,
}

/// A page of waiting executions.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct WaitingPage {
    /// The rows.
    pub waiting: Vec<Waiting>,
    /// Where the next page starts; none at the end.
    pub next: Option<String>,
}

/// A waiting execution.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Waiting {
    /// Who would serve it.
    pub endpoint: Option<EndpointId>,
    /// A stable name of the reason.
    pub waits_for: String,
    /// Until when, if that is known.
    pub until: Option<Timestamp>,
    /// The reason for people.
    pub explanation: String,
}

/// A page of webhook deliveries, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Deliveries {
    /// The rows.
    pub deliveries: Vec<Delivered>,
    /// Where the next page starts; none at the end.
    pub next: Option<String>,
}

/// One event, told or to be told to one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Delivered {
    /// The header `webhook-id`.
    pub id: String,
    /// What happened.
    pub event: String,
    /// Scheme, host and port of the receiver.
    pub origin: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts begun.
    pub attempts: u32,
    /// When it is tried next, while it is pending.
    pub next_at: Option<Timestamp>,
    /// The last HTTP status, if there was an answer.
    pub last_status: Option<u16>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
}

/// What a cancel changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// The job.
    pub job_id: JobId,
    /// Where it stands now.
    pub state: JobState,
    /// Whether the job had already ended, and nothing changed.
    pub already_ended: bool,
    /// Executions that had not been dispatched.
    pub cancelled_waiting: u32,
    /// Calls that were in flight.
    pub cancelled_in_flight: u32,
}

/// How a job stands after a pause or a resume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Standing {
    changed: bool,
    state: JobState,
    paused_at: Option<Timestamp>,
    paused_by: Option<String>,
}

impl From<Standing> for Steered {
    fn from(standing: Standing) -> Self {
        let Standing { changed, state, paused_at, paused_by } = standing;
        let paused = paused_at.zip(paused_by).map(|(at, by)| Paused { by, at });
        Self { changed, state, paused }
    }
}

impl From<Batch> for BatchView {
    fn from(batch: Batch) -> Self {
        Self {
            question: batch.question_id,
            text: batch.text,
            number: batch.number,
            state: batch.state,
            counts: batch.counts,
            started_at: batch.started_at,
            ended_at: batch.ended_at,
        }
    }
}

impl From<OnEndpoint> for EndpointView {
    /// The job's own calls are the ones in flight that are known; of the endpoint itself nothing is.
    fn from(on: OnEndpoint) -> Self {
        Self {
            endpoint: on.endpoint,
            model: on.model_id,
            region: on.region,
            counts: on.counts,
            gate: None,
            bound: None,
            limit: None,
            in_flight: on.counts.running,
            abandoned: 0,
            abandoned_until: None,
        }
    }
}
