//! The small health server of a worker.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use beacon_domain::{JobFilter, JobView, Outages, StoreError};
use http::StatusCode;
use serde_json::{Value, json};

/// `/health`: the process answers. `/ready`: the database does too; which endpoints keep failing is told beside it, because
/// a worker works on for the others.
pub fn health_routes(view: Arc<dyn JobView>, outages: Outages) -> Router {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).with_state((view, outages))
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

type Parts = (Arc<dyn JobView>, Outages);

async fn ready(State((view, outages)): State<Parts>) -> (StatusCode, Json<Value>) {
    match view.jobs(JobFilter { limit: 1, ..JobFilter::default() }).await {
        Ok(_) => (StatusCode::OK, Json(json!({ "status": "ready", "failing_endpoints": outages.all() }))),
        // The text of a store's error has no secret; the address behind it is for the log.
        Err(error) => {
            tracing::warn!("not ready: {error}");
            let status = match error {
                StoreError::Schema { .. } => {
                    "the database lacks this version's schema; run `beacon-migrate up`"
                }
                _ => "the database cannot be reached",
            };
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": status })))
        }
    }
}
