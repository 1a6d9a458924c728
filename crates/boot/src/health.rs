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
    let text = sender.map(|sender| sender.metrics()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
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

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use beacon_spec::WebhookSecret;
    use beacon_store::MemoryStore;
    use beacon_testkit::ManualClock;
    use beacon_webhooks::{Networks, PostOptions, Rules, Secrets, SenderParts, SystemResolver};
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    fn sender(store: &Arc<MemoryStore>) -> Arc<Sender> {
        let post = PostOptions {
            timeout: std::time::Duration::from_secs(15),
            ca_pem: None,
            user_agent: "test/1".to_owned(),
        };
        let rules = Rules {
            secrets: Secrets::new(WebhookSecret::generate(), None),
            allow: Networks::new(Vec::new()),
            allow_http: false,
        };
        let parts = SenderParts {
            clock: Arc::new(ManualClock::new()),
            deliveries: Arc::clone(store) as _,
            specs: Arc::clone(store) as _,
            rules: Arc::new(rules),
            resolver: Arc::new(SystemResolver),
            post,
        };
        Arc::new(Sender::new(parts).expect("public authorities are built in"))
    }

    async fn metrics(sender: Option<Arc<Sender>>, store: &Arc<MemoryStore>) -> String {
        let routes = health_routes(Arc::clone(store) as _, Outages::default(), sender);
        let request = Request::get("/metrics").body(Body::empty()).expect("it is a request");
        let answer = routes.oneshot(request).await.expect("routes always answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.expect("it is there");
        String::from_utf8(bytes.to_vec()).expect("it is text")
    }

    #[tokio::test]
    async fn a_worker_counts_the_webhooks_that_it_sends_if_it_sends_any() {
        let store = Arc::new(MemoryStore::new());

        let sends = metrics(Some(sender(&store)), &store).await;

        assert!(sends.contains(r#"beacon_deliveries_total{outcome="gave_up"} 0"#), "{sends}");
        assert_eq!(metrics(None, &store).await, "");
    }
}
