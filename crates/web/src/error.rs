//! One envelope for every error: a stable code, a safe message, the request's id (A2).

use std::time::Duration;

use axum::{
    Json,
    extract::{Request, rejection::BytesRejection},
    middleware::Next,
    response::{IntoResponse, Response},
};
use beacon_domain::StoreError;
use beacon_scheduler::{AcceptError, PlanError};
use beacon_spec::VerifyError;
use http::StatusCode;
use serde_json::json;
use tracing::error;

use crate::request_id::current;

/// A refusal.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: String,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    /// A body that could not be read; `limit` is the longest that may be.
    pub(crate) fn of_body(rejection: &BytesRejection, limit: usize) -> Self {
        let status = rejection.status();
        if status != StatusCode::PAYLOAD_TOO_LARGE {
            return Self::new(status, "body_unreadable", rejection.body_text());
        }
        let message =
            format!("the body is longer than {limit} bytes, the limit of this server (api.max_body_bytes)");
        Self::new(status, "too_large", message)
    }

    pub(crate) fn no_job() -> Self {
        Self::new(StatusCode::NOT_FOUND, "job_not_found", "there is no such job")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = json!({ "code": self.code, "message": self.message, "request_id": current() });
        (self.status, Json(json!({ "error": error }))).into_response()
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
        let code = match error {
            PlanError::Unserved { .. } => "unserved_cells",
            PlanError::Empty => "empty_plan",
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string())
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
            StoreError::Conflict(_) => (StatusCode::CONFLICT, "job_exists"),
            StoreError::Replayed => (StatusCode::CONFLICT, "nonce_replayed"),
            StoreError::KeyCompromised => (StatusCode::FORBIDDEN, "key_compromised"),
            StoreError::UnknownJob(_) => return Self::no_job(),
            StoreError::Schema { .. } => {
                error!(request = current(), "the store failed: {error}");
                let message = "the database lacks this version's schema; run `beacon-migrate up`";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "schema_missing", message);
            }
            StoreError::OverQuota(_) => (StatusCode::TOO_MANY_REQUESTS, "over_quota"),
            StoreError::NameTaken(_) => (StatusCode::CONFLICT, "name_taken"),
            StoreError::Occupied(_) | StoreError::Unavailable { .. } => {
                // What the database says is for the log alone.
                error!(request = current(), "the store failed: {error}");
                let message = "the database cannot be reached now; try again";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message);
            }
        };
        Self::new(status, code, error.to_string())
    }
}

/// No such path.
pub(crate) async fn no_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no_such_route", "there is no such route")
}

/// The path is there, the method is not.
pub(crate) async fn no_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this route has other methods")
}

/// No request takes longer than this; a body that drips does not hold the server.
pub(crate) async fn within(limit: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let message = "the request took too long; send its body faster, or try again later";
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message).into_response()
        }
    }
}
