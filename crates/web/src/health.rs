//! Health, measured (A6).

use std::sync::Arc;

use axum::{Json, extract::State};
use beacon_domain::JobFilter;
use serde_json::{Value, json};

use crate::{Api, error::ApiError};

/// The process answers.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// The database answers a query on the schema that this version knows.
pub(crate) async fn ready(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    api.view.jobs(JobFilter { limit: 1, ..JobFilter::default() }).await?;
    Ok(Json(json!({ "status": "ready", "endpoints": api.catalog.endpoints().len() })))
}
