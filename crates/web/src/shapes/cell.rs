//! Cells of a matrix.

use beacon_domain::{CellView, EndpointId, ExecutionState};
use beacon_spec::{ModelId, QuestionId, Region, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::names;

/// One cell: its execution is named by the job's id and `n`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cell<'a> {
    /// The place in the plan, from 0.
    n: u32,
    #[schema(value_type = String)]
    question_id: &'a QuestionId,
    /// The model asked.
    #[schema(value_type = String)]
    model_id: &'a ModelId,
    /// The region asked.
    #[schema(value_type = names::Region)]
    region: Region,
    /// The repetition, from 1.
    run: u32,
    /// Who serves it; null if nobody does.
    #[schema(value_type = Option<String>)]
    endpoint: Option<&'a EndpointId>,
    #[schema(value_type = names::ExecutionState)]
    state: ExecutionState,
    /// Attempts started.
    attempts: u32,
    /// When it may be tried again, while it waits for that.
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Timestamp>,
}

impl<'a> From<&'a CellView> for Cell<'a> {
    fn from(cell: &'a CellView) -> Self {
        Self {
            n: cell.n,
            question_id: &cell.question,
            model_id: &cell.model,
            region: cell.region,
            run: cell.run,
            endpoint: cell.endpoint.as_ref(),
            state: cell.state,
            attempts: cell.attempts,
            not_before: cell.not_before,
        }
    }
}
