//! Jobs: the list, and one of them with its batches.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use beacon_domain::{CellFilter, JobFilter, JobState};
use beacon_spec::{JobName, KeyId};
use http::HeaderMap;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    api::App,
    error::ApiError,
    etag,
    extract::{Asked, JobPath},
    limits::{self, Rows, Within},
    shapes::{Batch, Execution, Job, JobAnswer, Jobs, names},
};

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only jobs in this state.
    #[param(value_type = Option<names::JobState>, inline)]
    state: Option<JobState>,
    /// Only jobs with this signer's id.
    name: Option<String>,
    /// Only jobs that this key signed, by the ring's id.
    key: Option<String>,
    /// Where the page before ended: its `next`.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
    /// The most rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Rows>,
}

/// What to show beside the job.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowQuery {
    /// A list with commas of `executions` (also `all`), `endpoints` and `failures`. The last two count the rows of the
    /// job, which takes its time for a large one.
    #[param(pattern = "^(executions|all|endpoints|failures)(,(executions|all|endpoints|failures))*$")]
    include: Option<String>,
    /// The most executions that are included.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 20)]
    exec_limit: Option<Rows>,
    /// How many executions of the plan are left out before.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 100000000)]
    exec_offset: Option<Within<0, LONGEST_PLAN>>,
}

/// Executions that are included when the caller does not say.
const INCLUDED: u32 = 20;
/// No plan is longer; a larger offset is no offset.
const LONGEST_PLAN: u32 = 100_000_000;

/// Jobs, newest first
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(ListQuery),
    responses((status = 200, description = "A page of jobs", body = Jobs)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<Jobs>, ApiError> {
    let before: Option<i64> = limits::cursor(query.cursor.as_deref())?;
    let limit = limits::rows(query.limit);
    // What can be no name or key is nobody's.
    let (name, key) = (query.name.map(JobName::new).transpose(), query.key.map(KeyId::new).transpose());
    let (Ok(name), Ok(key)) = (name, key) else { return Ok(Json(Jobs::none())) };
    let cursor = before.map(|before| before.to_string());
    let filter = JobFilter { name, state: query.state, key, cursor, limit };
    Ok(Json(app.api.view.jobs(filter).await?.into()))
}

/// One job: how it stands, with its batches
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "show_job",
    params(("id" = inline(names::JobId), Path, description = "The job"), ShowQuery),
    responses(
        (status = 200, description = "The job", body = JobAnswer, headers(("etag" = String))),
        (status = 304, description = "Nothing has changed since the ETag in `if-none-match`"),
    ))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    JobPath(id): JobPath,
    Asked(query): Asked<ShowQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = &app.api;
    let include = Include::parse(query.include.as_deref())?;
    let page = query.page();
    let job = api.view.job(id).await?.ok_or_else(ApiError::no_job)?;
    let batches = api.board.batches(id).await?.into_iter().map(Batch::from).collect();
    let mut answer = JobAnswer {
        status: job.state,
        job: Job::from(job),
        batches,
        endpoints: None,
        failures: None,
        executions: None,
    };
    if include.endpoints {
        let endpoints = api.view.progress(id, api.clock.now()).await?.endpoints;
        answer.endpoints = Some(endpoints.into_iter().map(Into::into).collect());
    }
    if include.failures {
        answer.failures = Some(api.view.failures(id).await?.into_iter().map(Into::into).collect());
    }
    if include.executions {
        answer.executions = Some(executions(&app, id, page).await?);
    }
    etag::json(&headers, &answer)
}

async fn executions(
    app: &App,
    job: beacon_domain::JobId,
    (offset, limit): (u32, u32),
) -> Result<Vec<Execution>, ApiError> {
    let filter = CellFilter { after: offset.checked_sub(1), limit, ..CellFilter::default() };
    let page = app.api.board.cells(job, filter).await?;
    Ok(page.items.into_iter().map(|cell| Execution::new(job, cell)).collect())
}

impl ShowQuery {
    /// How many executions are left out, and how many follow.
    fn page(&self) -> (u32, u32) {
        let offset = self.exec_offset.map_or(0, |Within(offset)| offset);
        (offset, self.exec_limit.map_or(INCLUDED, |Within(rows)| rows))
    }
}

/// What `include` names.
#[derive(Debug, Default)]
struct Include {
    executions: bool,
    endpoints: bool,
    failures: bool,
}

impl Include {
    fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let mut include = Self::default();
        for what in text.into_iter().flat_map(|text| text.split(',')) {
            match what {
                "executions" | "all" => include.executions = true,
                "endpoints" => include.endpoints = true,
                "failures" => include.failures = true,
                _ => {
                    let message =
                        "include takes executions, endpoints and failures, with commas between them";
                    return Err(ApiError::query(message));
                }
            }
        }
        Ok(include)
    }
}
