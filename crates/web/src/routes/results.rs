//! The results of a job as a file, streamed in bounded memory.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use beacon_domain::JobId;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, header};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::App,
    error::ApiError,
    export::{Csv, Lines, Sink, Table},
    extract::{Asked, JobPath},
    limits::RECORDS_AT_ONCE,
    shapes::{Record, names},
};

/// As what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResultsQuery {
    /// `jsonl` by default.
    #[param(inline)]
    format: Option<Format>,
}

/// A format of files.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// One object per line.
    #[default]
    Jsonl,
    /// RFC 4180, with one header line.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// Every execution with its answer, in the order of the plan, streamed
///
/// What has not ended yet is there too, without an answer.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/results", tag = "jobs",
    params(("id" = inline(names::JobId), Path, description = "The job"), ResultsQuery),
    responses((status = 200, description = "The results", content(
        (Record = "application/x-ndjson"), (String = "text/csv"), (String = "application/vnd.apache.parquet"),
    ))))]
pub(crate) async fn results(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    Asked(query): Asked<ResultsQuery>,
) -> Result<Response, ApiError> {
    let format = query.format.unwrap_or_default();
    app.api.view.job(job).await?.ok_or_else(ApiError::no_job)?;
    let sink: Box<dyn Sink> = match format {
        Format::Jsonl => Box::new(Lines),
        Format::Csv => Box::new(Csv::new()),
        Format::Parquet => Box::new(Table::new().map_err(ApiError::internal)?),
    };
    let (media, ending) = match format {
        Format::Jsonl => ("application/x-ndjson", "jsonl"),
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
        Format::Parquet => ("application/vnd.apache.parquet", "parquet"),
    };
    let file = Records { app, job, after: None, sink, ended: false };
    let mut response = Body::from_stream(stream::try_unfold(file, Records::piece)).into_response();
    let name = format!("attachment; filename=\"{job}.{ending}\"");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::try_from(name).map_err(ApiError::internal)?);
    Ok(response)
}

/// What is still to be sent.
struct Records {
    app: Arc<App>,
    job: JobId,
    after: Option<u32>,
    sink: Box<dyn Sink>,
    ended: bool,
}

impl Records {
    /// The next piece. A failure ends the body in the middle, which the client sees as a broken answer.
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, axum::BoxError> {
        while !self.ended {
            let records = self.app.api.view.records(self.job, self.after, RECORDS_AT_ONCE).await?;
            let piece = match records.last() {
                Some(last) => {
                    self.after = Some(last.id.n);
                    self.sink.records(records)?
                }
                None => {
                    self.ended = true;
                    self.sink.end()?
                }
            };
            if !piece.is_empty() {
                return Ok(Some((piece, self)));
            }
        }
        Ok(None)
    }
}
