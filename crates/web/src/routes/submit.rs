//! Submission and planning: one pipeline for both envelopes (P4).

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use beacon_domain::{Accepted as Taken, JobId, JobState, JobSummary, NonceUse, Plan, StoreError};
use beacon_scheduler::{Desk, PlanOptions, Submission, Unserved, estimate, plan as make_plan, time_limit};
use beacon_spec::{Freshness, KeyId, SignedSpec, VerifiedSpec, verify};
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    access::Steerer,
    api::{Api, App},
    error::ApiError,
    extract::{Asked, JsonBytes, Whole},
    idempotency::{Done, Once, RepeatKey},
    openapi::{SignedJob, WrappedJob},
    request_id,
    shapes::{Accepted, Links, Planned},
    webhooks,
};

/// What a caller may say beside the signed job. On submission it needs a token of the scope `operate`, or a request that the
/// job's key signed; a plan is for anybody.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Accept cells that no endpoint serves, as `unsupported`. Decided by who may steer the job, not by whoever has a copy.
    #[serde(default)]
    #[param(required = false, default = false)]
    accept_unsupported: bool,
}

/// What a refusal of [`Options::accept_unsupported`] begins with.
const LEFT_OUT: &str = "accept_unsupported is for who may steer the job, by a token or by its key";

/// Takes a signed job
#[utoipa::path(post, path = "/api/v1/jobs", tag = "jobs", params(Options, RepeatKey),
    security((), ("token" = []), ("signature" = [])),
    request_body(content = SignedJob, content_type = "application/json"),
    responses(
        (status = 202, description = "Accepted, with all its executions", body = Accepted, headers(("location" = String))),
        (status = 200, description = "The same bytes were accepted before", body = Accepted, headers(("location" = String))),
    ))]
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    Asked(options): Asked<Options>,
    once: Once,
    sent: Whole,
) -> Result<Response, ApiError> {
    take(&app, options, once, sent).await
}

/// Takes a signed job in the wrapper that portals of older systems send
///
/// The wrapper is not signed: it may repeat what the job says, and is refused where it contradicts it.
#[utoipa::path(post, path = "/api/v1/jobs/cross-region", tag = "jobs", params(Options, RepeatKey),
    security((), ("token" = []), ("signature" = [])),
    request_body(content = WrappedJob, content_type = "application/json"),
    responses(
        (status = 202, description = "Accepted, with all its executions", body = Accepted, headers(("location" = String))),
        (status = 200, description = "The same bytes were accepted before", body = Accepted, headers(("location" = String))),
    ))]
pub(crate) async fn submit_wrapped(
    State(app): State<Arc<App>>,
    Asked(options): Asked<Options>,
    once: Once,
    sent: Whole,
) -> Result<Response, ApiError> {
    take(&app, options, once, sent).await
}

/// The plan of a signed job and what it would take; nothing is stored, and the nonce stays unused
#[utoipa::path(post, path = "/api/v1/jobs/plan", tag = "jobs", params(Options),
    request_body(content = SignedJob, content_type = "application/json"),
    responses((status = 200, description = "The plan in numbers", body = Planned)))]
pub(crate) async fn plan(
    State(app): State<Arc<App>>,
    Asked(options): Asked<Options>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Planned>, ApiError> {
    let (spec, plan) = prepared(&app, body, options).await?;
    let estimate = estimate(&plan?, &app.api.catalog);
    let limit: Duration = time_limit(&spec, estimate.lower_bound, app.api.limits.job)?;
    let (key, name) = (spec.key().clone(), spec.spec().name.clone());
    let job = first_job(&spec);
    Ok(Json(Planned::new((job, name, key), spec.digest(), estimate, limit)))
}

async fn take(app: &Arc<App>, options: Options, once: Once, sent: Whole) -> Result<Response, ApiError> {
    let Whole { parts, body } = sent;
    // Whoever repeats a request after its signature has aged still gets its answer.
    let owner =
        if once.is_keyed() { format!("key {}", signer(app, body.clone()).await?) } else { String::new() };
    if let Some(answer) = once.answered(app, &owner, &body).await? {
        return Ok(answer);
    }
    let steerer = if options.accept_unsupported {
        Some(Steerer::of(app, &parts, body.clone()).await.map_err(|error| error.of(LEFT_OUT))?)
    } else {
        None
    };
    let (spec, plan) = prepared(app, body.clone(), options).await?;
    if let Some(steerer) = &steerer {
        steerer.may_steer(spec.key()).map_err(|error| error.of(LEFT_OUT))?;
    }
    let used = nonce_use(app, &spec).await?;
    // Anybody may send what was taken before. It takes nothing of the key that signed it: no allowance, no idempotency key.
    if let Some(job) = same(app, &spec, used).await? {
        return Ok(again(app, &job, plan.ok().as_ref())?.into_response());
    }
    if let Some(used) = used.filter(|used| used.job == first_job(&spec) && used.digest.is_some()) {
        let message = format!(
            "job {0} is this same work, accepted in other bytes, which its receipts name; look at that one",
            used.job
        );
        return Err(ApiError::from(StoreError::Conflict(used.job)).saying(message));
    }
    let deed = accept(app, spec, plan?, steerer);
    if used.is_some() {
        return Ok(deed.await?.into_response());
    }
    once.run(app, owner, &body, deed).await
}

/// What this job's key used its nonce for: this same job, or the same in other bytes or under another id, neither of which is
/// signed.
async fn nonce_use(app: &App, spec: &VerifiedSpec) -> Result<Option<NonceUse>, ApiError> {
    match &spec.spec().nonce {
        Some(nonce) => Ok(app.api.jobs.nonce_use(*spec.public_key(), nonce.clone()).await?),
        None => Ok(None),
    }
}

/// The job that these same bytes made before.
async fn same(
    app: &App,
    spec: &VerifiedSpec,
    used: Option<NonceUse>,
) -> Result<Option<JobSummary>, ApiError> {
    let this = NonceUse { job: first_job(spec), digest: Some(spec.digest()) };
    if used == Some(this) { Ok(app.api.view.job(this.job).await?) } else { Ok(None) }
}

fn first_job(spec: &VerifiedSpec) -> JobId {
    JobId::derive(spec.key(), &spec.spec().name, 0)
}

/// The answer to bytes that made this job before. What it would cost is told while it can still be planned.
fn again(app: &App, job: &JobSummary, plan: Option<&Plan>) -> Result<Done, ApiError> {
    request_id::about(job.id);
    let answer = Accepted {
        id: job.id,
        job_id: job.id,
        name: job.name.clone(),
        state: job.state,
        status: job.state.as_str(),
        idempotent: true,
        executions: job.counts.total() as usize,
        deadline: Some(job.deadline),
        lower_bound_s: job.lower_bound.map(|bound| bound.as_secs_f64()),
        cost_micros_estimated: plan.and_then(|plan| estimate(plan, &app.api.catalog).cost_micros),
        links: Links::of(job.id),
    };
    Done::new(StatusCode::OK, &answer)
}

async fn accept(
    app: &Arc<App>,
    spec: VerifiedSpec,
    plan: Plan,
    steerer: Option<Steerer>,
) -> Result<Done, ApiError> {
    let api = &app.api;
    let key = *spec.public_key();
    app.throttle.key_may(&key)?;
    let (name, executions) = (spec.spec().name.clone(), plan.executions.len());
    let estimate = estimate(&plan, &api.catalog);
    let weight = spec.weight();
    let submission = Submission { generation: 0, retry_of: None, weight, nonce_must_be_new: true };
    if let Some(steerer) = steerer {
        let job = first_job(&spec).to_string();
        steerer.caller.note(app, "job.accept_unsupported", job, None).await?;
    }
    let desk = Desk { clock: api.clock.as_ref(), jobs: api.jobs.as_ref(), job_limit: api.limits.job };
    let submitted = desk.submit(&api.catalog, (spec, plan), submission).await;
    let submitted = submitted.map_err(|error| ApiError::not_accepted(error, api.clock.now()))?;
    let job = match submitted.accepted {
        Taken::New(job) => job,
        // The same bytes were sent twice at once.
        Taken::Existing(job, _) => {
            return again(app, &api.view.job(job).await?.ok_or_else(ApiError::no_job)?, None);
        }
    };
    app.throttle.key_did(&key);
    request_id::made(job);
    let answer = Accepted {
        id: job,
        job_id: job,
        name,
        state: JobState::Queued,
        status: "enqueued",
        idempotent: false,
        executions,
        deadline: Some(submitted.deadline),
        lower_bound_s: estimate.lower_bound.map(|bound| bound.as_secs_f64()),
        cost_micros_estimated: estimate.cost_micros,
        links: Links::of(job),
    };
    Done::new(StatusCode::ACCEPTED, &answer)
}

/// Who signed this job, however old the signature is.
async fn signer(app: &Arc<App>, body: Bytes) -> Result<KeyId, ApiError> {
    let shared = Arc::clone(app);
    let verified = tokio::task::spawn_blocking(move || {
        let (keys, now) = (shared.api.keys.as_ref(), shared.api.clock.now());
        verify(SignedSpec::new(body.as_ref())?, keys, now, Freshness::NotedOnly)
    });
    Ok(verified.await.map_err(ApiError::internal)??.key().clone())
}

/// A large job takes a while to verify and plan; requests beside it do not wait for it.
async fn prepared(
    app: &Arc<App>,
    body: Bytes,
    options: Options,
) -> Result<(VerifiedSpec, Result<Plan, ApiError>), ApiError> {
    let shared = Arc::clone(app);
    let prepared = tokio::task::spawn_blocking(move || {
        let api = &shared.api;
        let signed = SignedSpec::new(body.as_ref())?;
        let spec = verify(signed, api.keys.as_ref(), api.clock.now(), api.freshness())?;
        let plan = planned(api, &spec, options.accept_unsupported);
        Ok((spec, plan))
    });
    prepared.await.map_err(ApiError::internal)?
}

fn planned(api: &Api, spec: &VerifiedSpec, accept_unsupported: bool) -> Result<Plan, ApiError> {
    webhooks::check(api, spec.spec())?;
    let unserved = if accept_unsupported { Unserved::Accept } else { Unserved::Refuse };
    let options = PlanOptions { batching: api.batching, unserved, only: None };
    Ok(make_plan(spec.spec(), &api.catalog, &options)?)
}
