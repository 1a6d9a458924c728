//! Reads that need a token, where the configuration says so.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use beacon_domain::Scope;
use http::Method;

use super::bearer::bearer;
use crate::api::App;

/// What is open whatever the configuration says: what orchestrators ask, and what says how to ask.
const OPEN: [&str; 8] = [
    "/health",
    "/ready",
    "/version",
    "/openapi.json",
    "/docs",
    "/api/v1/health",
    "/api/v1/health/live",
    "/api/v1/health/ready",
];

/// Refuses reads without a token if `api.require_token_to_read` is set. Whatever changes something has its own guard.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !app.api.require_token_to_read || !reads || OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match bearer(&app, &parts.headers, &parts.extensions, Scope::Read).await {
        Ok(_) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => error.into_response(),
    }
}
