//! Metrics in Prometheus' text format. Labels are bounded: routes as they are written, endpoints of the catalogue.

use std::sync::{Arc, atomic::AtomicU64};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use beacon_domain::{Backlog, EndpointStatus};
use http::{Method, header};
use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{api::App, error::ApiError, shapes::gate_name};

/// Upper ends of the buckets of durations, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// What is counted while the API serves.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Family<Asked, Histogram>,
    streams: Gauge,
    watched: Gauge,
    store_up: Gauge,
    in_flight: Family<OfEndpoint, Gauge>,
    abandoned: Family<OfEndpoint, Gauge>,
    waiting: Family<OfEndpoint, Gauge>,
    limit: Family<OfEndpoint, Gauge>,
    gates: Family<AtGate, Gauge>,
    deliveries: Gauge,
    deliveries_late: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEndpoint {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AtGate {
    endpoint: String,
    gate: &'static str,
}

/// Counts a stream as long as it lives.
pub(crate) struct StreamCount(Gauge);

impl Drop for StreamCount {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Nothing is counted yet.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("beacon");
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            streams: Gauge::default(),
            watched: Gauge::default(),
            store_up: Gauge::default(),
            in_flight: Family::default(),
            abandoned: Family::default(),
            waiting: Family::default(),
            limit: Family::default(),
            gates: Family::default(),
            deliveries: Gauge::default(),
            deliveries_late: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        let seconds = "Seconds until an answer began";
        registry.register("http_request_duration_seconds", seconds, metrics.seconds.clone());
        registry.register("event_streams", "Event streams that are open", metrics.streams.clone());
        registry.register("watched_jobs", "Jobs that event streams watch", metrics.watched.clone());
        registry.register("store_up", "1 if the store answered this scrape", metrics.store_up.clone());
        let in_flight = "Live leases and abandoned calls of an endpoint, over all processes";
        registry.register("endpoint_in_flight", in_flight, metrics.in_flight.clone());
        let abandoned = "Calls that nobody waits for any more and that may still run at an endpoint";
        registry.register("endpoint_abandoned", abandoned, metrics.abandoned.clone());
        let waiting = "Executions that wait for an endpoint, counted up to 10000";
        registry.register("endpoint_waiting", waiting, metrics.waiting.clone());
        registry.register("endpoint_limit", "An endpoint's limit as last used", metrics.limit.clone());
        let gates = "1 for what a worker last said of an endpoint: open, cold, throttled or broken";
        registry.register("endpoint_gate", gates, metrics.gates.clone());
        let deliveries = "Webhook deliveries that wait, over all jobs, counted up to 10000";
        registry.register("deliveries_waiting", deliveries, metrics.deliveries.clone());
        let late = "For how long the webhook delivery that is due longest is due and not being sent";
        registry.register("deliveries_late_seconds", late, metrics.deliveries_late.clone());
        Self { registry, ..metrics }
    }

    /// One more stream, until this is dropped.
    pub(crate) fn stream(&self) -> StreamCount {
        self.streams.inc();
        StreamCount(self.streams.clone())
    }

    fn endpoint(&self, status: &EndpointStatus) {
        let of = OfEndpoint { endpoint: status.endpoint.to_string() };
        self.in_flight.get_or_create(&of).set(status.in_flight.into());
        self.abandoned.get_or_create(&of).set(status.abandoned.into());
        self.waiting.get_or_create(&of).set(status.waiting.into());
        if let Some(limit) = status.limit {
            self.limit.get_or_create(&of).set(limit.into());
        }
        if let Some(gate) = status.gate {
            for name in ["open", "cold", "throttled", "broken"] {
                let at = AtGate { endpoint: of.endpoint.clone(), gate: name };
                self.gates.get_or_create(&at).set(i64::from(name == gate_name(gate)));
            }
        }
    }
}

/// Counts a request and how long its answer took to begin.
pub(crate) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let method = method(request.method());
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let began = app.api.clock.monotonic();
    let response = next.run(request).await;
    let took = app.api.clock.monotonic().since(began).as_secs_f64();
    let asked = Asked { method, route: route.clone() };
    app.metrics.seconds.get_or_create(&asked).observe(took);
    let answered = Answered { method, route, status: response.status().as_u16() };
    app.metrics.requests.get_or_create(&answered).inc();
    response
}

/// Methods are made up freely, labels are not.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Metrics of the API and of the endpoints
#[utoipa::path(get, path = "/metrics", tag = "service",
    responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let metrics = &app.metrics;
    let statuses = app.api.board.endpoints(app.api.clock.now()).await;
    metrics.store_up.set(i64::from(statuses.is_ok()));
    metrics.watched.set(i64::try_from(app.watchers.len()).unwrap_or(i64::MAX));
    if let Ok(Backlog { waiting, late }) = app.api.operations.backlog(app.api.clock.now()).await {
        metrics.deliveries.set(waiting.into());
        metrics.deliveries_late.set(late.as_secs_f64());
    }
    let known = |status: &&EndpointStatus| app.api.catalog.endpoint(&status.endpoint).is_some();
    statuses.iter().flatten().filter(known).for_each(|status| metrics.endpoint(status));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &metrics.registry).map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text).into_response())
}
