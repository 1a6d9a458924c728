//! Trying failed executions again, as a new job of the next generation. The first one stays as it ended (L4).

use std::{collections::HashSet, sync::Arc};

use axum::{extract::State, response::Response};
use beacon_domain::{
    Accepted as Taken, CellFilter, CellView, ExecutionState, JobId, JobState, JobSummary, Plan,
};
use beacon_scheduler::{Desk, PlanOptions, Submission, Unserved, plan};
use beacon_spec::{Freshness, ModelId, QuestionId, Region, SignedSpec, Timestamp, VerifiedSpec, verify};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::Steerer,
    api::App,
    error::ApiError,
    extract::{ExecutionPath, JobPath},
    idempotency::{Done, Once, RepeatKey},
    limits::CELLS_AT_ONCE,
    request_id,
    shapes::{Links, names},
    webhooks,
};

/// A job that tries failed executions of another one again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retry {
    #[schema(value_type = names::JobId)]
    id: JobId,
    /// The same as `id`.
    #[schema(value_type = names::JobId)]
    job_id: JobId,
    /// The job whose executions it tries again.
    #[schema(value_type = names::JobId)]
    retry_of: JobId,
    /// 1 for the first retry of a job.
    generation: u32,
    #[schema(value_type = names::JobState)]
    state: JobState,
    /// How many executions it has.
    executions: usize,
    /// When it ends whatever happens.
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline: Option<Timestamp>,
    links: Links,
}

/// What a cell of a job is, in that job and in those that try it again: question, model, region and run.
type CellName = (QuestionId, ModelId, Region, u32);
type Cells = HashSet<CellName>;

/// Generations that are tried before a crowd of others is told of.
const TRIES: u32 = 8;

/// Tries all failed executions of an ended job again, as a new job
///
/// The bytes that were signed are verified again, except for their age; a key that was revoked meanwhile is refused.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/retry-failed", tag = "jobs", operation_id = "retry_failed",
    params(("id" = inline(names::JobId), Path, description = "The job"), RepeatKey),
    security(("token" = []), ("signature" = [])),
    responses((status = 202, description = "The new job", body = Retry, headers(("location" = String)))))]
pub(crate) async fn failed(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    once: Once,
    steerer: Steerer,
) -> Result<Response, ApiError> {
    let job = steerer.job(&app, job).await?;
    once.run(&app, steerer.caller.name(), &steerer.body, retry_failed(&app, &job, &steerer)).await
}

/// Tries one failed execution again, as a new job of this execution alone
///
/// Once: who asks again is told the job that tries it, and retries that one if it has failed too.
#[utoipa::path(post, path = "/api/v1/executions/{id}/retry", tag = "executions",
    operation_id = "retry_execution",
    params(("id" = inline(names::ExecutionId), Path, description = "The execution"), RepeatKey),
    security(("token" = []), ("signature" = [])),
    responses((status = 202, description = "The new job", body = Retry, headers(("location" = String)))))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    ExecutionPath(id): ExecutionPath,
    once: Once,
    steerer: Steerer,
) -> Result<Response, ApiError> {
    let job = steerer
        .job(&app, id.job)
        .await
        .map_err(|error| if error.is_not_found() { ApiError::no_execution() } else { error })?;
    once.run(&app, steerer.caller.name(), &steerer.body, retry_one(&app, &job, id.n, &steerer)).await
}

async fn retry_failed(app: &Arc<App>, job: &JobSummary, steerer: &Steerer) -> Result<Done, ApiError> {
    if !job.state.is_terminal() {
        return Err(conflict(
            "job_open",
            "the job has not ended yet; wait, cancel it, or retry single executions",
        ));
    }
    let failed = failed_cells(app, job.id).await?;
    if failed.is_empty() {
        return Err(conflict("nothing_failed", "nothing failed or timed out in this job"));
    }
    let (mut generation, mut cells) = untried(app, job, failed).await?;
    steerer.caller.note(app, "job.retry", job.id.to_string(), None).await?;
    for _ in 0..TRIES {
        let (spec, plan) = prepared(app, job.id, cells.clone()).await?;
        if let Some(retry) = submitted(app, job, generation, spec, plan).await? {
            return Done::new(StatusCode::ACCEPTED, &retry);
        }
        // Somebody else has just taken this generation, be it for the same executions.
        (generation, cells) = untried(app, job, cells).await?;
    }
    Err(too_many_retries())
}

/// Those of a job's failed cells that no other job tries again, and the first generation that no job has. If there is none of
/// them left it is a conflict.
async fn untried(app: &App, job: &JobSummary, mut failed: Cells) -> Result<(u32, Cells), ApiError> {
    let (mut generation, mut last) = (job.generation + 1, None);
    while let Some(taken) = app.api.view.job(JobId::derive(&job.key, &job.name, generation)).await? {
        if taken.retry_of == Some(job.id) {
            let taken_cells = cells_of(app, taken.id, CellFilter::default()).await?;
            let before = failed.len();
            failed.retain(|cell| !taken_cells.contains(cell));
            last = if failed.len() < before { Some(taken.id) } else { last };
        }
        generation += 1;
    }
    match last {
        Some(last) if failed.is_empty() => Err(retried(last)),
        _ => Ok((generation, failed)),
    }
}

async fn retry_one(app: &Arc<App>, job: &JobSummary, n: u32, steerer: &Steerer) -> Result<Done, ApiError> {
    let filter = CellFilter { after: n.checked_sub(1), limit: 1, ..CellFilter::default() };
    let cells = app.api.board.cells(job.id, filter).await?.items;
    let cell = cells.into_iter().find(|cell| cell.n == n).ok_or_else(ApiError::no_execution)?;
    if !has_failed(cell.state) {
        let message =
            format!("the execution is {}; only failed and timed_out ones are tried again", cell.state);
        return Err(conflict("not_failed", message));
    }
    let cell = name(cell);
    let mut generation = job.generation + 1;
    generation = free_generation(app, job, generation, &cell).await?;
    steerer.caller.note(app, "execution.retry", format!("{}-{n}", job.id), None).await?;
    let (spec, plan) = prepared(app, job.id, Cells::from([cell.clone()])).await?;
    for _ in 0..TRIES {
        // Somebody else may have taken this generation just now, be it for this same execution.
        generation = free_generation(app, job, generation, &cell).await?;
        if let Some(retry) = submitted(app, job, generation, spec.clone(), plan.clone()).await? {
            return Done::new(StatusCode::ACCEPTED, &retry);
        }
    }
    Err(too_many_retries())
}

fn too_many_retries() -> ApiError {
    conflict("too_many_retries", "many retries of this job begin at once; try again in a second")
}

/// The first generation from this one on that no job has. A job among those that have one may try this cell of `job` again
/// already: then it is a conflict, and nothing is called twice for one failure.
async fn free_generation(
    app: &App,
    job: &JobSummary,
    mut generation: u32,
    cell: &CellName,
) -> Result<u32, ApiError> {
    while let Some(taken) = app.api.view.job(JobId::derive(&job.key, &job.name, generation)).await? {
        if taken.retry_of == Some(job.id) && has_cell(app, taken.id, cell).await? {
            return Err(retried(taken.id));
        }
        generation += 1;
    }
    Ok(generation)
}

async fn has_cell(app: &App, job: JobId, cell: &CellName) -> Result<bool, ApiError> {
    let (question, model, region, _) = cell.clone();
    let filter = CellFilter {
        question: Some(question),
        model: Some(model),
        region: Some(region),
        ..CellFilter::default()
    };
    Ok(cells_of(app, job, filter).await?.contains(cell))
}

/// Writes the new job; nothing if another one has its generation.
async fn submitted(
    app: &App,
    job: &JobSummary,
    generation: u32,
    spec: VerifiedSpec,
    plan: Plan,
) -> Result<Option<Retry>, ApiError> {
    let api = &app.api;
    let (weight, executions) = (spec.weight(), plan.executions.len());
    let submission = Submission { generation, retry_of: Some(job.id), weight, nonce_must_be_new: false };
    let desk = Desk { clock: api.clock.as_ref(), jobs: api.jobs.as_ref(), job_limit: api.limits.job };
    let submitted = desk.submit(&api.catalog, (spec, plan), submission).await;
    let submitted = submitted.map_err(|error| ApiError::not_accepted(error, api.clock.now()))?;
    let Taken::New(id) = submitted.accepted else { return Ok(None) };
    request_id::made(id);
    Ok(Some(Retry {
        id,
        job_id: id,
        retry_of: job.id,
        generation,
        state: JobState::Queued,
        executions,
        deadline: Some(submitted.deadline),
        links: Links::of(id),
    }))
}

/// The signed bytes, verified again, and the plan of these cells.
async fn prepared(app: &Arc<App>, job: JobId, cells: Cells) -> Result<(VerifiedSpec, Plan), ApiError> {
    let bytes = app.api.operations.spec_bytes(job).await?;
    let shared = Arc::clone(app);
    let prepared = tokio::task::spawn_blocking(move || {
        let api = &shared.api;
        let spec = verify(SignedSpec::new(bytes)?, api.keys.as_ref(), api.clock.now(), Freshness::NotedOnly)?;
        webhooks::check(api, spec.spec())?;
        let options = PlanOptions { batching: api.batching, unserved: Unserved::Refuse, only: Some(cells) };
        let plan = plan(spec.spec(), &api.catalog, &options)?;
        Ok::<_, ApiError>((spec, plan))
    });
    prepared.await.map_err(ApiError::internal)?
}

async fn failed_cells(app: &App, job: JobId) -> Result<Cells, ApiError> {
    let states = vec![ExecutionState::Failed, ExecutionState::TimedOut];
    cells_of(app, job, CellFilter { states, ..CellFilter::default() }).await
}

/// The cells of a job that a filter takes, read in pages.
async fn cells_of(app: &App, job: JobId, mut filter: CellFilter) -> Result<Cells, ApiError> {
    let mut cells = Cells::new();
    filter.limit = CELLS_AT_ONCE;
    loop {
        let page = app.api.board.cells(job, filter.clone()).await?;
        cells.extend(page.items.into_iter().map(name));
        let Some(next) = page.next else { return Ok(cells) };
        filter.after = Some(next.parse().map_err(ApiError::internal)?);
    }
}

fn name(cell: CellView) -> CellName {
    (cell.question, cell.model, cell.region, cell.run)
}

const fn has_failed(state: ExecutionState) -> bool {
    matches!(state, ExecutionState::Failed | ExecutionState::TimedOut)
}

fn retried(by: JobId) -> ApiError {
    conflict("already_retried", format!("job {by} tries it again; look at that one, or retry that one"))
        .about(by)
}

fn conflict(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, code, message)
}
