//! Signed records: receipts of executions, and the close of a job.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use beacon_domain::{ExecutionId, ExecutionRecord, JobId, Scope};
use beacon_spec::{Close, Receipt};
use bytes::Bytes;
use futures::stream;
use http::{StatusCode, header, request::Parts};

use crate::{
    access::bearer,
    api::App,
    error::{ApiError, lacks},
    extract::{ExecutionPath, JobPath},
    limits::RECORDS_AT_ONCE,
    openapi::SignedJob,
    shapes::names,
};

/// The signed job, byte for byte as it was accepted
///
/// Receipts name these bytes. They may hold addresses of receivers of webhooks, so this needs a token of the scope `operate`.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/spec", tag = "records",
    security(("token" = [])),
    params(("id" = inline(names::JobId), Path, description = "The job")),
    responses((status = 200, description = "What was signed", content_type = "application/json", body = SignedJob)))]
pub(crate) async fn spec(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    parts: Parts,
) -> Result<Response, ApiError> {
    bearer(&app, &parts.headers, &parts.extensions, Scope::Operate).await?;
    app.api.view.job(job).await?.ok_or_else(ApiError::no_job)?;
    let bytes = app.api.operations.spec_bytes(job).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

/// All receipts of a job in the order of the plan, then its close, one per line
///
/// `beacon verify` checks the file offline. Without a close the job has not ended, or is not closed yet.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/receipts", tag = "records",
    params(("id" = inline(names::JobId), Path, description = "The job")),
    responses((status = 200, description = "Receipts, then the close", content_type = "application/x-ndjson", body = String)))]
pub(crate) async fn receipts(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
) -> Result<Response, ApiError> {
    app.api.view.job(job).await?.ok_or_else(ApiError::no_job)?;
    let lines = Lines { app, job, after: None, ended: false };
    let body = Body::from_stream(stream::try_unfold(lines, Lines::piece));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// The signed close of an ended job: counts, and the Merkle root over all receipts
#[utoipa::path(get, path = "/api/v1/jobs/{id}/close", tag = "records",
    params(("id" = inline(names::JobId), Path, description = "The job")),
    responses((status = 200, description = "The close, exactly as it was signed", body = Object)))]
pub(crate) async fn close(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
) -> Result<Json<Close>, ApiError> {
    let summary = app.api.view.job(job).await?.ok_or_else(ApiError::no_job)?;
    let not_yet = || lacks(job, "not_closed", "is not closed yet; look again when it has ended");
    summary.close.map(Json).ok_or_else(not_yet)
}

/// The signed receipt of an execution that ended
#[utoipa::path(get, path = "/api/v1/executions/{id}/receipt", tag = "records",
    params(("id" = inline(names::ExecutionId), Path, description = "The execution")),
    responses((status = 200, description = "The receipt, exactly as it was signed", body = Object)))]
pub(crate) async fn receipt(
    State(app): State<Arc<App>>,
    ExecutionPath(id): ExecutionPath,
) -> Result<Json<Receipt>, ApiError> {
    let receipt = record(&app, id).await?.receipt;
    let none = || {
        let message = "the execution has no receipt: no attempt has ended it";
        ApiError::new(StatusCode::NOT_FOUND, "no_receipt", message)
    };
    receipt.map(Json).ok_or_else(none)
}

/// One execution with everything that is known of it.
pub(crate) async fn record(app: &App, id: ExecutionId) -> Result<ExecutionRecord, ApiError> {
    let records = app.api.view.records(id.job, id.n.checked_sub(1), 1).await?;
    records.into_iter().find(|record| record.id == id).ok_or_else(ApiError::no_execution)
}

/// What is still to be sent.
struct Lines {
    app: Arc<App>,
    job: JobId,
    after: Option<u32>,
    ended: bool,
}

impl Lines {
    /// The next piece. A failure ends the body in the middle, which the client sees as a broken answer.
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, axum::BoxError> {
        while !self.ended {
            let records = self.app.api.view.records(self.job, self.after, RECORDS_AT_ONCE).await?;
            let mut lines = Vec::new();
            for receipt in records.iter().filter_map(|record| record.receipt.as_ref()) {
                serde_json::to_writer(&mut lines, receipt)?;
                lines.push(b'\n');
            }
            match records.last() {
                Some(last) => self.after = Some(last.id.n),
                None => {
                    self.ended = true;
                    let job = self.app.api.view.job(self.job).await?;
                    if let Some(close) = job.and_then(|job| job.close) {
                        serde_json::to_writer(&mut lines, &close)?;
                        lines.push(b'\n');
                    }
                }
            }
            if !lines.is_empty() {
                return Ok(Some((lines.into(), self)));
            }
        }
        Ok(None)
    }
}
