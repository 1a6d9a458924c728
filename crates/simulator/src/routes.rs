//! The addresses of the simulated endpoints and what they answer.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answers::{modal_body, openai_body, unix_s, wire_region},
    config::Behaviour,
    model::{Admission, Ask, Endpoint, Finished, Waited, Work},
    simulator::Simulator,
};

/// The query parameter that makes an address a result URL.
const CALL_ID: &str = "__modal_function_call_id";

/// Marks a response in whose place the connection is to close.
#[derive(Clone)]
pub(crate) struct CloseConnection;

/// Which wire format an address speaks.
#[derive(Clone, Copy)]
enum Dialect {
    Modal,
    OpenAi,
}

#[derive(Deserialize)]
struct CallId {
    #[serde(rename = "__modal_function_call_id")]
    id: Option<String>,
}

/// Either dialect's request.
#[derive(Deserialize)]
struct Asking {
    model: Option<String>,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default = "default_temperature")]
    temperature: f64,
    #[serde(default = "default_max_tokens")]
    max_tokens: u32,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

/// Where a request came to, for the result URL.
struct Asked<'a> {
    endpoint: &'a Arc<Endpoint>,
    dialect: Dialect,
    headers: &'a HeaderMap,
    uri: &'a Uri,
}

/// All addresses.
pub(crate) fn routes(simulator: Arc<Simulator>) -> Router {
    Router::new()
        .route("/e/{slug}", get(modal_result).post(modal_call))
        .route("/e/{slug}/", get(modal_result).post(modal_call))
        .route("/e/{slug}/v1/chat/completions", get(openai_result).post(openai_call))
        .route("/e/{slug}/v1/models", get(openai_models))
        .route("/e/{slug}/health", get(health))
        .route("/e/{slug}/models", get(models))
        .route("/stats", get(stats))
        .fallback(async || invalid_call())
        .with_state(simulator)
}

type Shared = State<Arc<Simulator>>;

async fn modal_call(
    State(simulator): Shared,
    Path(slug): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(endpoint) = simulator.by_slug(&slug) else { return invalid_call() };
    Asked { endpoint, dialect: Dialect::Modal, headers: &headers, uri: &uri }.call(&body).await
}

async fn openai_call(
    State(simulator): Shared,
    Path(slug): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(endpoint) = simulator.by_slug(&slug) else { return invalid_call() };
    Asked { endpoint, dialect: Dialect::OpenAi, headers: &headers, uri: &uri }.call(&body).await
}

async fn modal_result(
    State(simulator): Shared,
    Path(slug): Path<String>,
    Query(call): Query<CallId>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(endpoint) = simulator.by_slug(&slug) else { return invalid_call() };
    Asked { endpoint, dialect: Dialect::Modal, headers: &headers, uri: &uri }.result(call.id).await
}

async fn openai_result(
    State(simulator): Shared,
    Path(slug): Path<String>,
    Query(call): Query<CallId>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(endpoint) = simulator.by_slug(&slug) else { return invalid_call() };
    Asked { endpoint, dialect: Dialect::OpenAi, headers: &headers, uri: &uri }.result(call.id).await
}

impl Asked<'_> {
    async fn call(&self, body: &[u8]) -> Response {
        if self.uri.query().is_some_and(|query| query.contains(CALL_ID)) {
            return (StatusCode::BAD_REQUEST, "modal-http: bad redirect method").into_response();
        }
        let ask = match self.understand(body) {
            Ok(ask) => ask,
            Err(refusal) => {
                self.endpoint.refuse();
                return *refusal;
            }
        };
        let key = self.headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        match self.endpoint.call(ask, key) {
            Admission::Taken(work) if work.behaviour == Behaviour::Pending => self.see_other(&work),
            Admission::Taken(work) => self.wait(&work).await,
            Admission::Throttled(after) => {
                let seconds = after.as_secs_f64().ceil().to_string();
                let headers = [(header::RETRY_AFTER, seconds)];
                (StatusCode::TOO_MANY_REQUESTS, headers, "simulated endpoint is full").into_response()
            }
            Admission::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "simulated endpoint is unavailable").into_response()
            }
        }
    }

    async fn result(&self, id: Option<String>) -> Response {
        let Some(id) = id else { return StatusCode::METHOD_NOT_ALLOWED.into_response() };
        self.endpoint.meter.record(|stats| stats.result_url_reads += 1);
        match self.endpoint.calls.find(&id) {
            Some(work) => self.wait(&work).await,
            None => invalid_call(),
        }
    }

    async fn wait(&self, work: &Work) -> Response {
        let until = self.endpoint.around.clock.monotonic() + self.endpoint.window();
        match self.endpoint.wait(work, until).await {
            Waited::Finished(done) => self.tell(&done),
            Waited::Pending => self.see_other(work),
            Waited::Gone => close_connection(),
        }
    }

    fn see_other(&self, work: &Work) -> Response {
        let id = self.endpoint.calls.publish(work);
        self.endpoint.meter.record(|stats| stats.redirects += 1);
        let host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let origin = host.map(|host| format!("http://{host}")).unwrap_or_default();
        let location = format!("{origin}{}?{CALL_ID}={id}", self.uri.path());
        (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
    }

    fn tell(&self, done: &Finished) -> Response {
        match (done.behaviour, self.dialect) {
            (Behaviour::ServerError, _) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "simulated failure").into_response()
            }
            (Behaviour::Html, _) => {
                let page = "<!doctype html><title>simulated gateway page</title>";
                ([(header::CONTENT_TYPE, "text/html")], page).into_response()
            }
            (Behaviour::Reset, _) => close_connection(),
            (_, Dialect::Modal) => Json(modal_body(done)).into_response(),
            (_, Dialect::OpenAi) => Json(openai_body(done)).into_response(),
        }
    }

    fn understand(&self, body: &[u8]) -> Result<Ask, Box<Response>> {
        let body: Asking = serde_json::from_slice(body).map_err(|error| {
            let detail = json!({ "detail": error.to_string() });
            Box::new((StatusCode::UNPROCESSABLE_ENTITY, Json(detail)).into_response())
        })?;
        let prompt = body.text();
        if prompt.is_empty() {
            return Err(Box::new(self.refusal(StatusCode::BAD_REQUEST, "Prompt is required".to_owned())));
        }
        let served = self.endpoint.config.model.as_str();
        if let Some(model) = body.model.filter(|model| model != served) {
            return Err(Box::new(self.refusal(StatusCode::NOT_FOUND, format!("Unknown model: {model}"))));
        }
        Ok(Ask { prompt: prompt.into(), temperature: body.temperature, max_tokens: body.max_tokens })
    }

    /// The deployed Modal endpoints tell errors with status 200; OpenAI's have a status.
    fn refusal(&self, status: StatusCode, error: String) -> Response {
        match self.dialect {
            Dialect::Modal => {
                let region = wire_region(self.endpoint.config.region);
                Json(json!({ "status": "error", "error": error, "region": region })).into_response()
            }
            Dialect::OpenAi => {
                let body = json!({ "error": { "message": error, "type": "invalid_request_error" } });
                (status, Json(body)).into_response()
            }
        }
    }
}

impl Asking {
    /// The prompt; a lone user message is its own prompt, several are joined with their roles.
    fn text(&self) -> String {
        match self.messages.as_slice() {
            [] => self.prompt.clone(),
            [only] if only.role == "user" => only.content.clone(),
            all => all.iter().map(|message| format!("{}\n{}\n", message.role, message.content)).collect(),
        }
    }
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

fn invalid_call() -> Response {
    (StatusCode::NOT_FOUND, "modal-http: invalid function call").into_response()
}

fn close_connection() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(CloseConnection);
    response
}

const fn default_temperature() -> f64 {
    0.1
}

const fn default_max_tokens() -> u32 {
    500
}
