//! The small health server of a worker.

use std::sync::Arc;

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use beacon_domain::{JobFilter, JobView, Outages, StoreError};
use beacon_webhooks::Sender;
use http::{StatusCode, header};
use serde_json::{Value, json};

/// `/health`: the process answers. `/ready`: the database does too; which endpoints keep failing is told beside it, because
/// a worker works on for the others.
/// `/metrics`: what came of the webhooks that this worker sent, if it sends any.
pub fn health_routes(view: Arc<dyn JobView>, outages: Outages, sender: Option<Arc<Sender>>) -> Router {
    let told = Router::new().route("/metrics", get(metrics)).with_state(sender);
    let routes = Router::new().route("/health", get(health)).route("/ready", get(ready));
    routes.with_state((view, outages)).merge(told)
}

async fn metrics(State(sender): State<Option<Arc<Sender>>>) -> impl IntoResponse {
    let text = sender.map_or_else(|| "# EOF\n".to_owned(), |sender| sender.metrics());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
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
