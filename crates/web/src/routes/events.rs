//! A job's events, pushed (A4).

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use futures::{FutureExt as _, future::BoxFuture};
use http::{header, request::Parts};
use utoipa::ToSchema;

use crate::{
    access::until_refused,
    api::App,
    error::ApiError,
    events::EventStream,
    extract::JobPath,
    shapes::names,
    throttle::{address, too_many},
};

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
/// what it has seen. A comment every 15 seconds shows that the stream lives. After `end` the stream ends; so it
/// does within seconds when the token that it was asked with is revoked, or when an address with fewer streams needs its place.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", tag = "jobs",
    params(
        ("id" = inline(names::JobId), Path, description = "The job"),
        ("last-event-id" = Option<String>, Header, description = "The id of the last event seen"),
    ),
    responses((status = 200, description = "Events", content_type = "text/event-stream", body = Event)))]
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    parts: Parts,
) -> Result<Response, ApiError> {
    let seen =
        parts.headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let leave = leave(&app, &parts)?;
    let changes = app.watchers.watch(job).await?;
    let stream = EventStream::new(&app, changes, seen, leave).into_stream();
    // `x-accel-buffering` keeps nginx from holding events back.
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-cache"),
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// When this client has to leave: its token is no longer one, or an address with fewer streams needs the place of this one.
fn leave(app: &Arc<App>, parts: &Parts) -> Result<BoxFuture<'static, ()>, ApiError> {
    let address = address(&app.api.proxies, &parts.headers, &parts.extensions);
    let held = match &app.streams {
        Some(streams) => {
            let full = || too_many("too many event streams of this address at once", Duration::ZERO);
            Some(streams.take(address).ok_or_else(full)?)
        }
        None => None,
    };
    let refused = until_refused(Arc::clone(app), parts);
    let lost = async move {
        match held {
            Some(held) => held.lost().await,
            None => std::future::pending().await,
        }
    };
    Ok(async move {
        tokio::select! {
            () = refused => {}
            () = lost => {}
        }
    }
    .boxed())
}
