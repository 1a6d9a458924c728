//! Ending a job.

use std::sync::Arc;

use axum::{Json, extract::State};
use beacon_domain::{CancelReason, JobId, JobState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{access::Steerer, api::App, error::ApiError, extract::JobPath, shapes::names};

/// What a cancel changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cancelled {
    /// True: the request was understood; for older clients.
    ok: bool,
    #[schema(value_type = names::JobId)]
    job_id: JobId,
    #[schema(value_type = names::JobState)]
    state: JobState,
    /// Whether the job had already ended, and nothing changed.
    already_ended: bool,
    /// Executions that had not been dispatched.
    cancelled_waiting: u32,
    /// Calls that were in flight.
    cancelled_in_flight: u32,
    /// Both together; for older clients.
    executions_cancelled: u32,
}

/// Ends a job: open executions are cancelled, calls in flight are dropped
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = inline(names::JobId), Path, description = "The job")),
    security(("token" = []), ("signature" = [])),
    responses((status = 200, description = "What it changed", body = Cancelled)))]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    steerer: Steerer,
) -> Result<Json<Cancelled>, ApiError> {
    steerer.job(&app, job).await?;
    steerer.caller.note(&app, "job.cancel", job.to_string(), None).await?;
    let reason = CancelReason::By(steerer.caller.name());
    let cancelled = app.api.jobs.cancel(job, reason, app.api.clock.now()).await?;
    Ok(Json(Cancelled {
        ok: true,
        job_id: job,
        state: cancelled.state,
        already_ended: cancelled.already_ended,
        cancelled_waiting: cancelled.waiting,
        cancelled_in_flight: cancelled.in_flight,
        executions_cancelled: cancelled.waiting + cancelled.in_flight,
    }))
}
