//! The service itself: its version, and its health, measured (A6).

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use beacon_domain::JobFilter;
use beacon_spec::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{api::App, error::ApiError};

/// What serves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Version {
    name: &'static str,
    version: &'static str,
    /// The version of the routes, as in their paths.
    api: &'static str,
}

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

/// What the API needs is there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    status: &'static str,
    /// Endpoints that jobs are planned over.
    endpoints: usize,
    /// Workers that were seen in the last minute, at most 1000. Without any, jobs are taken and wait.
    workers: usize,
    /// When one of them was last seen; null if none was.
    #[schema(value_type = Option<String>, format = DateTime)]
    worker_seen_at: Option<Timestamp>,
}

/// A worker that was not seen for longer is believed to be gone.
const LATELY: Duration = Duration::from_secs(60);
const MOST_WORKERS: u32 = 1000;

/// The version
#[utoipa::path(get, path = "/version", tag = "service",
    responses((status = 200, description = "The version", body = Version)))]
pub(crate) async fn version() -> Json<Version> {
    Json(Version { name: "beacon", version: env!("CARGO_PKG_VERSION"), api: "v1" })
}

/// The process answers
#[utoipa::path(get, path = "/health", tag = "service",
    responses((status = 200, description = "It does", body = Health)))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "alive" })
}

/// The database answers a query on the schema that this version knows; and which workers were seen lately
#[utoipa::path(get, path = "/ready", tag = "service",
    responses((status = 200, description = "It does", body = Ready)))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Ready>, ApiError> {
    app.api.view.jobs(JobFilter { limit: 1, ..JobFilter::default() }).await?;
    let since = app.api.clock.now().checked_sub(LATELY).unwrap_or_default();
    let workers = app.api.operations.workers(since, MOST_WORKERS).await?;
    Ok(Json(Ready {
        status: "ready",
        endpoints: app.api.catalog.endpoints().len(),
        workers: workers.len(),
        worker_seen_at: workers.first().map(|worker| worker.seen_at),
    }))
}
