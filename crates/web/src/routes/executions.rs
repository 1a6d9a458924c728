//! Executions: of a job, over all jobs, and one of them.

use std::sync::Arc;

use axum::{Json, extract::State};
use beacon_domain::{CellFilter, EndpointId, ExecutionState};
use beacon_spec::{ModelId, QuestionId, Region};
use serde::Deserialize;
use utoipa::IntoParams;

use super::records::record;
use crate::{
    api::App,
    error::ApiError,
    extract::{Asked, ExecutionPath, JobPath},
    limits::{self, Rows},
    shapes::{Executions, Record, names},
};

/// Which executions of a job to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfJobQuery {
    /// Only executions in this state.
    #[param(value_type = Option<names::ExecutionState>, inline)]
    state: Option<ExecutionState>,
    /// Only executions of this question, by its id.
    question: Option<String>,
    /// Only executions of this model.
    model: Option<String>,
    /// Only executions of this region; its aliases (`US`, `EU`, `ASIA`, …) are taken too.
    #[param(value_type = Option<names::Region>, inline)]
    region: Option<String>,
    /// Only executions that this endpoint serves.
    endpoint: Option<String>,
    /// Where the page before ended: its `next`.
    #[param(pattern = "^[0-9]{1,9}$")]
    cursor: Option<String>,
    /// The most rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Rows>,
}

/// Which page of all executions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecentQuery {
    /// Where the page before ended: its `next`.
    #[param(pattern = "^[0-9]{1,18}-[0-9]{1,9}$")]
    cursor: Option<String>,
    /// The most rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Rows>,
}

/// Executions of a job in the order of the plan
#[utoipa::path(get, path = "/api/v1/jobs/{id}/executions", tag = "executions",
    params(("id" = inline(names::JobId), Path, description = "The job"), OfJobQuery),
    responses((status = 200, description = "A page of executions", body = Executions)))]
pub(crate) async fn of_job(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    Asked(query): Asked<OfJobQuery>,
) -> Result<Json<Executions>, ApiError> {
    let after = limits::cursor(query.cursor.as_deref())?;
    let limit = limits::rows(query.limit);
    let region = query.region.map(|region| region.parse::<Region>()).transpose();
    let region = region.map_err(|error| ApiError::query(error.to_string()))?;
    let (question, model) =
        (query.question.map(QuestionId::new).transpose(), query.model.map(ModelId::new).transpose());
    let (Ok(question), Ok(model)) = (question, model) else {
        // What can be no name is no question or model of any job.
        app.api.view.job(job).await?.ok_or_else(ApiError::no_job)?;
        return Ok(Json(Executions::none()));
    };
    let states = query.state.into_iter().collect();
    let endpoint = query.endpoint.map(EndpointId::new);
    let filter = CellFilter { states, question, model, region, endpoint, after, limit };
    Ok(Json(Executions::of(job, app.api.board.cells(job, filter).await?)))
}

/// Executions over all jobs, those of the newest job first
#[utoipa::path(get, path = "/api/v1/executions", tag = "executions", params(RecentQuery),
    responses((status = 200, description = "A page of executions", body = Executions)))]
pub(crate) async fn recent(
    State(app): State<Arc<App>>,
    Asked(query): Asked<RecentQuery>,
) -> Result<Json<Executions>, ApiError> {
    let (cursor, limit) = (limits::pair_cursor(query.cursor)?, limits::rows(query.limit));
    Ok(Json(app.api.board.recent(cursor, limit).await?.into()))
}

/// One execution with its attempts, its timeline, its answer and its receipt
#[utoipa::path(get, path = "/api/v1/executions/{id}", tag = "executions",
    operation_id = "show_execution",
    params(("id" = inline(names::ExecutionId), Path, description = "The execution")),
    responses((status = 200, description = "The execution", body = Record)))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    ExecutionPath(id): ExecutionPath,
) -> Result<Json<Record>, ApiError> {
    Ok(Json(record(&app, id).await?.into()))
}
