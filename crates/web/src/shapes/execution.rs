//! Executions in lists.

use beacon_domain::{CellView, EndpointId, ExecutionId, ExecutionLine, ExecutionState, JobId, Page};
use beacon_spec::{ModelId, QuestionId, Region, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::names;

/// One execution: what it is and where it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Execution {
    #[schema(value_type = names::ExecutionId)]
    pub(crate) id: String,
    #[schema(value_type = names::JobId)]
    pub(crate) job_id: JobId,
    /// The place in the plan, from 0.
    pub(crate) n: u32,
    #[schema(value_type = String)]
    pub(crate) question_id: QuestionId,
    /// The model asked.
    #[schema(value_type = String)]
    pub(crate) model_id: ModelId,
    /// The region asked.
    #[schema(value_type = names::Region)]
    pub(crate) region: Region,
    /// The repetition, from 1.
    pub(crate) run: u32,
    /// Who serves it; null if nobody does.
    #[schema(value_type = Option<String>)]
    pub(crate) endpoint: Option<EndpointId>,
    /// The same as `endpoint`, for older clients.
    #[schema(value_type = Option<String>)]
    pub(crate) provider_id: Option<EndpointId>,
    #[schema(value_type = names::ExecutionState)]
    pub(crate) state: ExecutionState,
    /// The same as `state`, for older clients.
    #[schema(value_type = names::ExecutionState)]
    pub(crate) status: ExecutionState,
    /// Attempts started.
    pub(crate) attempts: u32,
    /// When it was first dispatched.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) started_at: Option<Timestamp>,
    /// When it may be tried again, while it waits for that.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) not_before: Option<Timestamp>,
    /// Whether a remote call of it is known, to which the next worker re-attaches.
    pub(crate) resumable: bool,
}

/// A page of executions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Executions {
    executions: Vec<Execution>,
    /// Where the next page starts; null at the end. A page may be short, or empty, and still have a next one.
    next: Option<String>,
}

/// The name of an execution in paths.
pub(crate) fn execution_id(id: ExecutionId) -> String {
    format!("{}-{}", id.job, id.n)
}

impl Execution {
    /// A cell of this job.
    pub(crate) fn new(job: JobId, cell: CellView) -> Self {
        Self {
            id: execution_id(ExecutionId { job, n: cell.n }),
            job_id: job,
            n: cell.n,
            question_id: cell.question,
            model_id: cell.model,
            region: cell.region,
            run: cell.run,
            provider_id: cell.endpoint.clone(),
            endpoint: cell.endpoint,
            state: cell.state,
            status: cell.state,
            attempts: cell.attempts,
            started_at: cell.started_at,
            not_before: cell.not_before,
            resumable: cell.resumable,
        }
    }
}

impl Executions {
    /// A page of one job's cells.
    pub(crate) fn of(job: JobId, page: Page<CellView>) -> Self {
        let executions = page.items.into_iter().map(|cell| Execution::new(job, cell)).collect();
        Self { executions, next: page.next }
    }

    /// Nothing.
    pub(crate) const fn none() -> Self {
        Self { executions: Vec::new(), next: None }
    }
}

impl From<Page<ExecutionLine>> for Executions {
    fn from(page: Page<ExecutionLine>) -> Self {
        let line = |line: ExecutionLine| Execution::new(line.id.job, line.cell);
        Self { executions: page.items.into_iter().map(line).collect(), next: page.next }
    }
}
