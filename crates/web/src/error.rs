//! One envelope for every error: a stable code, a safe message, the request's id (A2).

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use beacon_domain::{JobId, StoreError};
use beacon_scheduler::{AcceptError, PlanError};
use beacon_spec::{Timestamp, VerifyError};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::{api::App, request_id::current};

/// A refusal.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: String,
    message: String,
    /// The job that stands in the way.
    job: Option<JobId>,
    /// What tells programs what to do, such as `retry-after`.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// The body of every answer that is an error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
struct ErrorDetail {
    /// Stable; programs decide by it.
    #[schema(example = "job_not_found")]
    code: String,
    /// What is wrong and what to do, for people.
    message: String,
    /// The id of the request, also in the header `x-request-id` and in the server's log.
    request_id: String,
    /// The job that stands in the way: of `job_exists`, `nonce_replayed` and `already_retried`; left out with other codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    job_id: Option<JobId>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), job: None, header: None }
    }

    /// With a header that tells programs what to do.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.header = HeaderValue::from_str(value).ok().map(|value| Box::new((name, value)));
        self
    }

    /// About a job that stands in the way.
    pub(crate) fn about(mut self, job: JobId) -> Self {
        self.job = Some(job);
        self
    }

    /// The same refusal in other words.
    pub(crate) fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same refusal, with what was asked for before its message.
    pub(crate) fn of(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// A job that was not accepted now. When a quota is free again is told to programs too.
    pub(crate) fn not_accepted(error: AcceptError, now: Timestamp) -> Self {
        let frees_at = match &error {
            AcceptError::Store(StoreError::OverQuota(exceeded)) => exceeded.frees_at,
            _ => None,
        };
        let refusal = Self::from(error);
        match frees_at {
            // In whole seconds, and not a moment before.
            Some(at) => {
                refusal.with(header::RETRY_AFTER, &(at.duration_since(now).as_secs().max(0) + 1).to_string())
            }
            None => refusal,
        }
    }

    pub(crate) fn no_job() -> Self {
        Self::new(StatusCode::NOT_FOUND, "job_not_found", "there is no such job")
    }

    pub(crate) fn no_execution() -> Self {
        Self::new(StatusCode::NOT_FOUND, "execution_not_found", "there is no such execution")
    }

    pub(crate) fn is_refused_token(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub(crate) fn query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", message)
    }

    /// Our own fault. What happened is for the log alone.
    pub(crate) fn internal(what: impl std::fmt::Display) -> Self {
        error!(request_id = current(), "a request failed inside: {what}");
        let message = "the server failed; its log has the request's id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message, job: job_id, header } = self;
        let error = ErrorDetail { code, message, request_id: current(), job_id };
        let body = Json(ErrorBody { error });
        let mut response = (status, [(header::CACHE_CONTROL, "no-store")], body).into_response();
        if let Some((name, value)) = header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<VerifyError> for ApiError {
    fn from(error: VerifyError) -> Self {
        let status = match error {
            VerifyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            VerifyError::Trust(_) | VerifyError::SignatureMismatch | VerifyError::ProfileNotAllowed(_) => {
                StatusCode::FORBIDDEN
            }
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        let (code, message) = match error {
            PlanError::Unserved { cells } => {
                let remedy = "ask what /api/v1/models lists, or leave the cells out with ?accept_unsupported=true, if you may steer the job";
                ("unserved_cells", format!("no endpoint serves {cells}; {remedy}"))
            }
            PlanError::Empty => ("empty_plan", error.to_string()),
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }
}

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        let code = match error {
            AcceptError::Store(error) => return error.into(),
            AcceptError::DeadlineCannotHold { .. } => "deadline_cannot_hold",
            AcceptError::TimeoutsDoNotNest { .. } => "timeouts_do_not_nest",
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let (status, code) = match error {
            StoreError::Conflict(job) => {
                return Self::new(StatusCode::CONFLICT, "job_exists", error.to_string()).about(job);
            }
            StoreError::Replayed(job) => {
                return Self::new(StatusCode::CONFLICT, "nonce_replayed", error.to_string()).about(job);
            }
            StoreError::KeyCompromised => (StatusCode::FORBIDDEN, "key_compromised"),
            StoreError::UnknownJob(_) => return Self::no_job(),
            StoreError::Schema { .. } => {
                error!(request_id = current(), "the store failed: {error}");
                let message = "the database lacks this version's schema; run `beacon-migrate up`";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "schema_missing", message);
            }
            StoreError::OverQuota(_) => (StatusCode::TOO_MANY_REQUESTS, "over_quota"),
            StoreError::NameTaken(_) => (StatusCode::CONFLICT, "name_taken"),
            StoreError::Occupied(_) | StoreError::Unavailable { .. } => {
                // What the database says is for the log alone.
                error!(request_id = current(), "the store failed: {error}");
                let message = "the database cannot be reached now; try again";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message);
            }
        };
        Self::new(status, code, error.to_string())
    }
}

/// No such path.
pub(crate) async fn no_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no_such_route", "there is no such route; /docs lists them")
}

/// The path is there, the method is not.
pub(crate) async fn no_method() -> ApiError {
    let message = "this route has other methods; the header `allow` names them";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// No request takes longer than this until its answer begins, so a body that drips does not hold the server. What streams
/// afterwards is bounded by its own silence.
pub(crate) async fn within(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let limit: Duration = app.api.limits.request;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let message = "the request took too long; send its body faster, or try again later";
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message).into_response()
        }
    }
}

/// A handler that panics fails its own request only.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::internal("a handler panicked").into_response()
}

/// What a job lacks that was asked for.
pub(crate) fn lacks(job: JobId, code: &str, what: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, code, format!("job {job} {what}"))
}
