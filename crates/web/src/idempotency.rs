//! `Idempotency-Key`: a request that is repeated under its key gets its first answer again, and does nothing (A5).

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use beacon_domain::{
    Clock, IdempotencyAsk, IdempotencyKey, IdempotencyLog, Idempotent, KeptAnswer, StoreError,
};
use beacon_spec::Sha256Digest;
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use serde::Serialize;
use serde_json::Value;
use tracing::warn;
use utoipa::IntoParams;

use crate::{api::App, error::ApiError, request_id::current};

pub(crate) const KEY_HEADER: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is kept.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// The longest key, in characters.
const LONGEST: usize = 255;
/// Between two looks for answers that are too old, and how many go at once.
const EVERY: Duration = Duration::from_secs(600);
const AT_ONCE: u32 = 1000;

/// The header, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it exists for the document; the extractor reads the header")]
pub(crate) struct RepeatKey {
    /// Your own name of this request: sent again under it within a day, the request is answered as the first time, and does nothing.
    #[param(
        rename = "idempotency-key",
        required = false,
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$"
    )]
    key: String,
}

/// A request that may be repeated.
pub(crate) struct Once {
    key: Option<String>,
    /// Method, path and query.
    target: String,
}

/// What was done, as it is answered.
pub(crate) struct Done {
    status: StatusCode,
    body: Vec<u8>,
    /// What is kept in place of the body, where that holds a secret.
    kept: Option<Vec<u8>>,
}

impl Done {
    pub(crate) fn new(status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self { status, body: serde_json::to_vec(body).map_err(ApiError::internal)?, kept: None })
    }

    /// Keeps this in place of the body.
    pub(crate) fn keeping(self, kept: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self { kept: Some(serde_json::to_vec(kept).map_err(ApiError::internal)?), ..self })
    }
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let location = body["links"]["self"].as_str().and_then(|link| HeaderValue::from_str(link).ok());
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/json")], self.body).into_response();
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let target = format!("{} {}", parts.method, parts.uri);
        let mut given = parts.headers.get_all(KEY_HEADER).iter();
        let Some(key) = given.next() else { return Ok(Self { key: None, target }) };
        let key = key.to_str().ok().filter(|key| {
            (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        });
        match (key, given.next()) {
            (Some(key), None) => Ok(Self { key: Some(key.to_owned()), target }),
            _ => {
                let message =
                    format!("{KEY_HEADER} is one text of 1 to {LONGEST} printable ASCII characters");
                Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", message))
            }
        }
    }
}

impl Once {
    /// Whether the caller gave a key.
    pub(crate) const fn is_keyed(&self) -> bool {
        self.key.is_some()
    }

    /// The answer that this owner's request got before. Writes nothing.
    pub(crate) async fn answered(
        &self,
        app: &App,
        owner: &str,
        body: &[u8],
    ) -> Result<Option<Response>, ApiError> {
        let Some(ask) = self.ask(app, owner, body) else { return Ok(None) };
        match app.api.operations.known(ask).await? {
            Some(Idempotent::Done(answer)) => Ok(Some(replayed(answer))),
            Some(Idempotent::OtherRequest) => Err(another_request()),
            // Whoever begins it is told.
            Some(Idempotent::Running | Idempotent::First { .. }) | None => Ok(None),
        }
    }

    /// Does it, unless this owner's request was answered before. A refusal changed nothing and is not kept.
    pub(crate) async fn run(
        self,
        app: &App,
        owner: String,
        body: &[u8],
        deed: impl Future<Output = Result<Done, ApiError>>,
    ) -> Result<Response, ApiError> {
        let Some(ask) = self.ask(app, &owner, body) else { return Ok(deed.await?.into_response()) };
        let (log, key) = (&app.api.operations, ask.key.clone());
        let turn = match log.begin(ask).await? {
            Idempotent::First { turn } => turn,
            Idempotent::Running => return Err(still_running()),
            Idempotent::OtherRequest => return Err(another_request()),
            Idempotent::Done(answer) => return Ok(replayed(answer)),
        };
        match deed.await {
            Ok(done) => {
                let body = done.kept.clone().unwrap_or_else(|| done.body.clone());
                let answer = KeptAnswer { status: done.status.as_u16(), body };
                if let Err(error) = log.finish(key, turn, answer).await {
                    // It is done; only a repetition would not be told so.
                    warn!(request_id = current(), "an answer could not be kept for its repetition: {error}");
                }
                Ok(done.into_response())
            }
            Err(refusal) => {
                if let Err(error) = log.give_up(key, turn).await {
                    warn!(request_id = current(), "an idempotency key could not be given back: {error}");
                }
                Err(refusal)
            }
        }
    }
}

impl Once {
    /// What is asked of the log, if there is a key.
    fn ask(&self, app: &App, owner: &str, body: &[u8]) -> Option<IdempotencyAsk> {
        let key = IdempotencyKey { owner: owner.to_owned(), key: self.key.clone()? };
        Some(IdempotencyAsk {
            key,
            request: Sha256Digest::of(&[self.target.as_bytes(), b"\n", body].concat()),
            keep: KEEP,
            patience: 2 * app.api.limits.request,
            now: app.api.clock.now(),
        })
    }
}

fn replayed(answer: KeptAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = Done { status, body: answer.body, kept: None }.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn still_running() -> ApiError {
    let message = "a request with this idempotency key is being done now; send it again in a second";
    ApiError::new(StatusCode::CONFLICT, "idempotency_in_progress", message).with(header::RETRY_AFTER, "1")
}

fn another_request() -> ApiError {
    let message = "this idempotency key was used for another request; take a new key for each";
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", message)
}

/// Removes answers and nonces that nobody can ask for any more, again and again. Signatures may be this old.
pub async fn forget_old_answers(
    log: Arc<dyn IdempotencyLog>,
    clock: Arc<dyn Clock>,
    max_age: Duration,
) -> Infallible {
    let keep = KEEP.max(max_age + 2 * crate::api::MAX_SKEW);
    loop {
        clock.sleep_until(clock.monotonic() + EVERY).await;
        let before = clock.now().checked_sub(keep).unwrap_or_default();
        if let Err(error) = forget(log.as_ref(), before).await {
            warn!("cannot forget old answers now, will try again: {error}");
        }
    }
}

async fn forget(log: &dyn IdempotencyLog, before: beacon_spec::Timestamp) -> Result<(), StoreError> {
    while log.forget_answers(before, AT_ONCE).await? == AT_ONCE {}
    Ok(())
}
