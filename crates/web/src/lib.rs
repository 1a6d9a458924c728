//! The HTTP API: signed jobs in, states out. Knows the store and time as ports; calls no endpoint.

mod api;
mod error;
mod health;
mod jobs;
mod request_id;
mod submit;
mod token;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};

pub use api::{Api, ApiLimits};
pub use token::OperatorToken;

/// All routes.
pub fn router(api: Api) -> Router {
    let (body, time) = (api.limits.max_body_bytes, api.limits.request);
    Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/api/v1/jobs", post(submit::submit))
        .route("/api/v1/jobs/cross-region", post(submit::submit))
        .route("/api/v1/jobs/{id}", get(jobs::job))
        .route("/api/v1/jobs/{id}/matrix", get(jobs::matrix))
        .route("/api/v1/jobs/{id}/cancel", post(jobs::cancel))
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        .layer(DefaultBodyLimit::max(body))
        .layer(middleware::from_fn(move |request, next| error::within(time, request, next)))
        .layer(middleware::from_fn(request_id::stamp))
        .with_state(Arc::new(api))
}
