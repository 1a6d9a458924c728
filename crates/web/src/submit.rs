//! Submission: one pipeline for both envelopes (P4).

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Query, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use beacon_domain::{Accepted, JobId, JobState, Plan};
use beacon_scheduler::{Desk, PlanOptions, Submission, Unserved, estimate, plan};
use beacon_spec::{SignedSpec, VerifiedSpec, verify};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use crate::{Api, error::ApiError};

/// What a caller may say beside the signed job.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Accept cells that no endpoint serves, as `unsupported` (P9).
    #[serde(default)]
    accept_unsupported: bool,
}

/// Takes a signed job.
pub(crate) async fn submit(
    State(api): State<Arc<Api>>,
    options: Result<Query<Options>, axum::extract::rejection::QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let Query(options) = options
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", error.body_text()))?;
    let body = body.map_err(|rejection| ApiError::of_body(&rejection, api.limits.max_body_bytes))?;
    // A large job takes a while to verify and plan; requests beside it do not wait for it.
    let (shared, unserved) = (Arc::clone(&api), options.accept_unsupported);
    let prepared = tokio::task::spawn_blocking(move || prepare(&shared, &body, unserved)).await;
    let (spec, plan) =
        prepared.map_err(|_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "it failed"))??;
    let (name, executions) = (spec.spec().name.clone(), plan.executions.len());
    let estimate = estimate(&plan, &api.catalog);
    let weight = spec.weight();
    let submission = Submission { generation: 0, retry_of: None, weight, nonce_must_be_new: true };
    let desk = Desk { clock: api.clock.as_ref(), jobs: api.jobs.as_ref(), job_limit: api.limits.job };
    let (status, job, state) = match desk.submit(&api.catalog, (spec, plan), submission).await? {
        Accepted::New(job) => (StatusCode::ACCEPTED, job, JobState::Queued),
        Accepted::Existing(job, state) => (StatusCode::OK, job, state),
    };
    let body = json!({
        "job_id": job, "name": name, "state": state, "executions": executions,
        "lower_bound_s": estimate.lower_bound.map(|bound| bound.as_secs_f64()),
        "cost_micros_estimated": estimate.cost_micros, "links": links(job),
    });
    Ok((status, [(header::LOCATION, format!("/api/v1/jobs/{job}"))], Json(body)).into_response())
}

fn prepare(api: &Api, body: &Bytes, accept_unsupported: bool) -> Result<(VerifiedSpec, Plan), ApiError> {
    let signed = SignedSpec::new(body.as_ref())?;
    let spec = verify(signed, api.keys.as_ref(), api.clock.now(), api.freshness())?;
    let unserved = if accept_unsupported { Unserved::Accept } else { Unserved::Refuse };
    let options = PlanOptions { batching: api.batching, unserved, only: None };
    let plan = plan(spec.spec(), &api.catalog, &options)?;
    Ok((spec, plan))
}

fn links(job: JobId) -> serde_json::Value {
    let path = format!("/api/v1/jobs/{job}");
    json!({ "self": path, "matrix": format!("{path}/matrix"), "cancel": format!("{path}/cancel") })
}
