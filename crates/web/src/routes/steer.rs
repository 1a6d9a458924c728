//! Pausing a job, and letting it go on.

use std::sync::Arc;

use axum::{Json, extract::State};
use beacon_domain::{JobId, JobState, Steered};
use beacon_spec::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{access::Steerer, api::App, error::ApiError, extract::JobPath, shapes::names};

/// How a job stands after a pause or a resume.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Steered)]
pub(crate) struct Standing {
    #[schema(value_type = names::JobId)]
    job_id: JobId,
    /// Whether anything changed. An ended job is neither paused nor resumed.
    changed: bool,
    /// The job's state, which does not depend on it.
    #[schema(value_type = names::JobState)]
    state: JobState,
    paused: bool,
    /// Since when it is paused; null if it is not.
    #[schema(value_type = Option<String>, format = DateTime)]
    paused_at: Option<Timestamp>,
    /// Who paused it; null if it is not paused.
    paused_by: Option<String>,
}

/// Pauses a job: nothing more of it begins, calls in flight go on, its deadline stays
#[utoipa::path(post, path = "/api/v1/jobs/{id}/pause", tag = "jobs",
    params(("id" = inline(names::JobId), Path, description = "The job")),
    security(("token" = []), ("signature" = [])),
    responses((status = 200, description = "How it stands", body = Standing)))]
pub(crate) async fn pause(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    steerer: Steerer,
) -> Result<Json<Standing>, ApiError> {
    steerer.job(&app, job).await?;
    steerer.caller.note(&app, "job.pause", job.to_string(), None).await?;
    let by = steerer.caller.name();
    Ok(Json(Standing::new(job, app.api.operations.pause(job, by, app.api.clock.now()).await?)))
}

/// Lets a paused job go on
#[utoipa::path(post, path = "/api/v1/jobs/{id}/resume", tag = "jobs",
    params(("id" = inline(names::JobId), Path, description = "The job")),
    security(("token" = []), ("signature" = [])),
    responses((status = 200, description = "How it stands", body = Standing)))]
pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    steerer: Steerer,
) -> Result<Json<Standing>, ApiError> {
    steerer.job(&app, job).await?;
    steerer.caller.note(&app, "job.resume", job.to_string(), None).await?;
    Ok(Json(Standing::new(job, app.api.operations.resume(job, app.api.clock.now()).await?)))
}

impl Standing {
    fn new(job_id: JobId, steered: Steered) -> Self {
        let Steered { changed, state, paused } = steered;
        Self {
            job_id,
            changed,
            state,
            paused: paused.is_some(),
            paused_at: paused.as_ref().map(|paused| paused.at),
            paused_by: paused.map(|paused| paused.by),
        }
    }
}
