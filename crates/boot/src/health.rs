//! The small health server of a worker.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use beacon_domain::{JobFilter, JobView};
use http::StatusCode;
use serde_json::{Value, json};

/// `/health`: the process answers. `/ready`: the database does too.
pub fn health_routes(view: Arc<dyn JobView>) -> Router {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).with_state(view)
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

async fn ready(State(view): State<Arc<dyn JobView>>) -> (StatusCode, Json<Value>) {
    match view.jobs(JobFilter { limit: 1, ..JobFilter::default() }).await {
        Ok(_) => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        // The text of a store's error has no secret; the address behind it is for the log.
        Err(error) => {
            tracing::warn!("not ready: {error}");
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "the database cannot be reached" })))
        }
    }
}
