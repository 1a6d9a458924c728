//! A job's events, pushed (A4).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use utoipa::ToSchema;

use crate::{api::App, error::ApiError, events::EventStream, extract::JobPath, shapes::names};

/// One event, as the HTML standard defines it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only for the document; events are written as text")]
pub(crate) struct Event {
    /// Grows with every event of the stream.
    id: String,
    /// `snapshot`, `progress` or `end`.
    event: String,
    /// JSON: how the job stands, a `JobProgress`.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// How a job goes on, as server-sent events
///
/// First `snapshot`, then `progress` for each change, at last `end`. Each carries the whole of how the job stands, so a
/// client that missed some has lost nothing. Ids grow; a client that comes back with `last-event-id` gets no snapshot of
/// what it has seen. A comment every 15 seconds shows that the stream lives. After `end` the stream ends.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", tag = "jobs",
    params(
        ("id" = inline(names::JobId), Path, description = "The job"),
        ("last-event-id" = Option<String>, Header, description = "The id of the last event seen"),
    ),
    responses((status = 200, description = "Events", content_type = "text/event-stream", body = Event)))]
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let changes = app.watchers.watch(job).await?;
    let stream = EventStream::new(&app, changes, seen).into_stream();
    // `x-accel-buffering` keeps nginx from holding events back.
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-cache"),
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}
