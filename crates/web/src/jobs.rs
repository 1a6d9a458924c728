//! One job: how it stands, its matrix, its cancel.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use beacon_domain::{CancelReason, JobId, Matrix};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{Api, error::ApiError, token::authorize};

/// How a job stands, along every axis, and why executions failed.
pub(crate) async fn job(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let job = parse(id)?;
    let progress = api.view.progress(job).await?;
    let failures = api.view.failures(job).await?;
    Ok(Json(json!({
        "job": progress.job, "makespan_s": progress.job.makespan().map(|span| span.as_secs_f64()),
        "batches": progress.batches, "endpoints": progress.endpoints, "failures": failures,
    })))
}

/// Every cell with its state.
pub(crate) async fn matrix(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Matrix>, ApiError> {
    Ok(Json(api.view.matrix(parse(id)?).await?))
}

/// Ends a job (S7).
pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    authorize(&api, &headers)?;
    let job = parse(id)?;
    let reason = CancelReason::By("operator".to_owned());
    let cancelled = api.jobs.cancel(job, reason, api.clock.now()).await?;
    Ok(Json(json!({
        "job_id": job, "state": cancelled.state, "already_ended": cancelled.already_ended,
        "cancelled_waiting": cancelled.waiting, "cancelled_in_flight": cancelled.in_flight,
    })))
}

/// What is no id, or no text at all, names no job.
fn parse(id: Result<Path<String>, PathRejection>) -> Result<JobId, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::no_job())?;
    id.parse().map_err(|_| ApiError::no_job())
}
