//! The addresses of the simulated endpoints.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

use crate::{
    answers::{unix_s, wire_region},
    exchange::{Dialect, Exchange, invalid_call},
    simulator::Simulator,
};

/// The longest request body read; a longer one gets 413 and is not counted as a call.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

type Shared = State<Arc<Simulator>>;

/// All addresses.
pub(crate) fn routes(simulator: Arc<Simulator>) -> Router {
    let modal = || get(modal_result).post(modal_call);
    Router::new()
        .route("/e/{slug}", modal())
        .route("/e/{slug}/", modal())
        .route("/e/{slug}/v1/chat/completions", get(openai_result).post(openai_call))
        .route("/e/{slug}/v1/models", get(openai_models))
        .route("/e/{slug}/health", get(health))
        .route("/e/{slug}/models", get(models))
        .route("/stats", get(stats))
        .fallback(async || invalid_call())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(simulator)
}

async fn modal_call(
    shared: Shared,
    slug: Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    call(Dialect::Modal, (shared, slug), &uri, &headers, &body).await
}

async fn openai_call(
    shared: Shared,
    slug: Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    call(Dialect::OpenAi, (shared, slug), &uri, &headers, &body).await
}

async fn modal_result(shared: Shared, slug: Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    result(Dialect::Modal, (shared, slug), &uri, &headers).await
}

async fn openai_result(shared: Shared, slug: Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    result(Dialect::OpenAi, (shared, slug), &uri, &headers).await
}

async fn call(
    dialect: Dialect,
    (State(simulator), Path(slug)): (Shared, Path<String>),
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let Some(endpoint) = simulator.by_slug(&slug) else { return invalid_call() };
    Exchange { endpoint, dialect, headers, uri }.call(body).await
}

async fn result(
    dialect: Dialect,
    (State(simulator), Path(slug)): (Shared, Path<String>),
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    let Some(endpoint) = simulator.by_slug(&slug) else { return invalid_call() };
    Exchange { endpoint, dialect, headers, uri }.result().await
}

async fn health(State(simulator): Shared, Path(slug): Path<String>) -> Response {
    let Some(endpoint) = simulator.by_slug(&slug) else { return invalid_call() };
    let models = [endpoint.config.model.as_str()];
    Json(json!({
        "status": "healthy",
        "timestamp": unix_s(endpoint.around.clock.now()),
        "models_available": models,
        "models_ready": models,
        "models_ready_count": 1,
        "region": wire_region(endpoint.config.region),
        "architecture": "simulated",
        "cache_initialized": true,
    }))
    .into_response()
}

async fn models(State(simulator): Shared, Path(slug): Path<String>) -> Response {
    let Some(endpoint) = simulator.by_slug(&slug) else { return invalid_call() };
    let model = endpoint.config.model.as_str();
    let entry = json!({
        "hf_model": "simulated", "gpu": "none", "memory_gb": 0, "context_length": 32768,
        "description": "simulated",
    });
    let registry = Value::Object([(model.to_owned(), entry)].into_iter().collect());
    Json(json!({
        "models_available": [model],
        "model_registry": registry,
        "ready_models": [model],
        "cache_initialized": true,
    }))
    .into_response()
}

async fn openai_models(State(simulator): Shared, Path(slug): Path<String>) -> Response {
    let Some(endpoint) = simulator.by_slug(&slug) else { return invalid_call() };
    let model = json!({ "id": endpoint.config.model, "object": "model", "owned_by": "simulated" });
    Json(json!({ "object": "list", "data": [model] })).into_response()
}

async fn stats(State(simulator): Shared) -> Response {
    Json(simulator.stats()).into_response()
}
