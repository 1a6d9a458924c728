//! Why executions wait (S11).

use std::sync::Arc;

use axum::{Json, extract::State};
use beacon_domain::{
    CellFilter, CellView, EndpointStatus, EndpointView, ExecutionState, StateCounts, WaitReason,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    api::App,
    error::ApiError,
    extract::{Asked, JobPath},
    limits::{self, Rows},
    shapes::{Execution, Explanation, Waiting, names},
};

/// Which page of what waits.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainQuery {
    /// Where the page before ended: its `next`.
    #[param(pattern = "^[0-9]{1,9}$")]
    cursor: Option<String>,
    /// The most rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Rows>,
}

/// Every waiting execution of a job, with why it waits
#[utoipa::path(get, path = "/api/v1/jobs/{id}/explain", tag = "jobs",
    params(("id" = inline(names::JobId), Path, description = "The job"), ExplainQuery),
    responses((status = 200, description = "A page of waiting executions", body = Explanation)))]
pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    Asked(query): Asked<ExplainQuery>,
) -> Result<Json<Explanation>, ApiError> {
    let filter = CellFilter {
        states: vec![ExecutionState::Blocked, ExecutionState::Queued],
        after: limits::cursor(query.cursor.as_deref())?,
        limit: limits::rows(query.limit),
        ..CellFilter::default()
    };
    let summary = app.api.view.job(job).await?.ok_or_else(ApiError::no_job)?;
    let page = app.api.board.cells(job, filter).await?;
    let now = app.api.clock.now();
    let statuses = app.api.board.endpoints(now).await?;
    let waiting = page.items.into_iter().filter_map(|cell| {
        let status = statuses.iter().find(|status| Some(&status.endpoint) == cell.endpoint.as_ref());
        let endpoint = status.map(|status| seen_by(&cell, status));
        let reason = WaitReason::of_job(&summary, &cell, endpoint.as_ref(), now)?;
        Some(Waiting::new(Execution::new(job, cell), reason))
    });
    Ok(Json(Explanation { waiting: waiting.collect(), next: page.next }))
}

/// The endpoint of a cell, as far as the reason of a wait depends on it.
fn seen_by(cell: &CellView, status: &EndpointStatus) -> EndpointView {
    EndpointView {
        endpoint: status.endpoint.clone(),
        model: cell.model.clone(),
        region: cell.region,
        counts: StateCounts::default(),
        gate: status.gate,
        bound: status.bound,
        limit: status.limit,
        in_flight: status.in_flight,
        abandoned: status.abandoned,
        abandoned_until: status.abandoned_until,
    }
}
