//! One HTTP exchange with an endpoint: a call or a read of a result URL, and the response to it.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use beacon_domain::Clock;
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderMap, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::json;

use crate::{
    answers::{modal_body, openai_body, wire_region},
    behaviour::Behaviour,
    connection::EndConnection,
    endpoint::Endpoint,
    work::{Admission, Ask, Finished, Waited, Work},
};

/// The query parameter that makes an address a result URL.
const CALL_ID: &str = "__modal_function_call_id";

/// A host that no name server knows (RFC 6761 section 6.4).
const ELSEWHERE: &str = "http://elsewhere.invalid";

const JSON: &str = "application/json";
const BLANKS: [u8; 16 * 1024] = [b' '; 16 * 1024];
const DRIP: Duration = Duration::from_secs(1);

/// Which wire format an address speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dialect {
    Modal,
    OpenAi,
}

/// Where a request came to.
pub(crate) struct Exchange<'a> {
    pub(crate) endpoint: &'a Arc<Endpoint>,
    pub(crate) dialect: Dialect,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) uri: &'a Uri,
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

impl Exchange<'_> {
    /// Answers a POST.
    pub(crate) async fn call(&self, body: &[u8]) -> Response {
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
            Admission::Taken(work) if work.behaviour.defers() => self.see_other(&work),
            Admission::Taken(work) => self.wait(&work).await,
            Admission::Throttled(after) => {
                let seconds = after.as_secs_f64().ceil().to_string();
                ([(header::RETRY_AFTER, seconds)], plain(Behaviour::Throttle)).into_response()
            }
            Admission::Refused(behaviour) => plain(behaviour),
        }
    }

    /// Answers a GET of a result URL.
    pub(crate) async fn result(&self) -> Response {
        let pairs = self.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let Some((_, id)) = pairs.into_iter().find(|(name, _)| *name == CALL_ID) else {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        };
        match self.endpoint.find(id) {
            Some(work) if work.behaviour == Behaviour::RedirectLoop => self.see_other(&work),
            Some(work) => self.wait(&work).await,
            None => invalid_call(),
        }
    }

    async fn wait(&self, work: &Work) -> Response {
        let until = self.endpoint.around.clock.monotonic() + self.endpoint.window();
        match self.endpoint.wait(work, until).await {
            Waited::Finished(done) => self.tell(work, &done).await,
            Waited::Pending => self.see_other(work),
            Waited::Gone => end_connection(EndConnection::Close),
        }
    }

    fn see_other(&self, work: &Work) -> Response {
        let host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let origin = host.map(|host| format!("http://{host}")).unwrap_or_default();
        self.redirect(&origin, work)
    }

    fn redirect(&self, origin: &str, work: &Work) -> Response {
        let id = self.endpoint.publish(work);
        let location = format!("{origin}{}?{CALL_ID}={id}", self.uri.path());
        (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
    }

    async fn tell(&self, work: &Work, done: &Finished) -> Response {
        let behaviour = done.behave();
        if behaviour.status().is_some() {
            return plain(behaviour);
        }
        match behaviour {
            Behaviour::Html => {
                let page = "<!doctype html><title>simulated gateway page</title>";
                ([(header::CONTENT_TYPE, "text/html")], page).into_response()
            }
            Behaviour::Reset => end_connection(EndConnection::Reset),
            Behaviour::Truncated => truncated(self.body(done)),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Slow => json_stream(drips(Arc::clone(&self.endpoint.around.clock))),
            Behaviour::Endless => json_stream(stream::repeat(Ok(Bytes::from_static(&BLANKS)))),
            Behaviour::RedirectElsewhere => self.redirect(ELSEWHERE, work),
            _ => ([(header::CONTENT_TYPE, JSON)], self.body(done)).into_response(),
        }
    }

    fn body(&self, done: &Finished) -> Vec<u8> {
        match self.dialect {
            Dialect::Modal => modal_body(done),
            Dialect::OpenAi => openai_body(done),
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
        if let Some(model) = body.model.as_deref().filter(|model| *model != served) {
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
                let code = (status == StatusCode::NOT_FOUND).then_some("model_not_found");
                let error = json!({ "message": error, "type": "invalid_request_error", "code": code });
                (status, Json(json!({ "error": error }))).into_response()
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

/// What Modal's edge says to an address or call that it does not know.
pub(crate) fn invalid_call() -> Response {
    (StatusCode::NOT_FOUND, "modal-http: invalid function call").into_response()
}

/// A response that is no more than a status and a text.
fn plain(behaviour: Behaviour) -> Response {
    let (status, text) = behaviour.status().expect("the caller asks only for behaviours that are a status");
    (StatusCode::from_u16(status).expect("the table holds valid statuses"), text).into_response()
}

fn end_connection(end: EndConnection) -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(end);
    response
}

/// Half of the body under a head that promises all of it.
fn truncated(body: Vec<u8>) -> Response {
    let promised = body.len();
    let half = Bytes::from(body).slice(..promised / 2);
    let broken = async {
        // The half is on its way before the connection breaks: hyper writes what it has when the body pauses.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let body = stream::iter([Ok(half)]).chain(stream::once(broken));
    let headers = [(header::CONTENT_TYPE, JSON.to_owned()), (header::CONTENT_LENGTH, promised.to_string())];
    (headers, Body::from_stream(body)).into_response()
}

fn json_stream(body: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static) -> Response {
    ([(header::CONTENT_TYPE, JSON)], Body::from_stream(body)).into_response()
}

/// A blank at once, and another after each pause; JSON may begin with blanks.
fn drips(clock: Arc<dyn Clock>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let start = clock.monotonic();
    stream::unfold((clock, start), |(clock, next)| async move {
        clock.sleep_until(next).await;
        Some((Ok(Bytes::from_static(b" ")), (clock, next + DRIP)))
    })
}

const fn default_temperature() -> f64 {
    0.1
}

const fn default_max_tokens() -> u32 {
    500
}
