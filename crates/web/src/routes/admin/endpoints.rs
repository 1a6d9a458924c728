//! What an operator changes at an endpoint while it serves.

use std::sync::Arc;

use axum::{Json, extract::State};
use beacon_domain::{EndpointId, EndpointInfo, EndpointOverride};
use beacon_spec::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    access::Admin,
    api::App,
    error::ApiError,
    extract::{JsonBody, NamePath},
};

/// The most overrides that are read.
const MOST: u32 = 10_000;

/// How an endpoint is to serve. What is left out goes back to the endpoints file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// Calls in flight, from 0 to its `max_limit`; null for the limit of the endpoints file.
    limit: Option<u32>,
    /// Nothing new begins; calls in flight end.
    #[serde(default)]
    #[schema(required = false)]
    drain: bool,
    /// Closes a breaker that is open now, and forgets that the endpoint throttled.
    #[serde(default)]
    #[schema(required = false)]
    reset_breaker: bool,
}

/// What is changed at an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Changed {
    #[schema(value_type = String)]
    id: EndpointId,
    /// The limit that was set; null if none was.
    limit: Option<u32>,
    drain: bool,
    /// When its breaker was last reset; null if it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    reset_at: Option<Timestamp>,
    /// The limit of the endpoints file.
    configured_limit: u32,
    /// The highest limit that may be set.
    max_limit: u32,
}

/// What an operator knows to have ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Forgotten {
    #[schema(value_type = String)]
    id: EndpointId,
    /// Abandoned calls that counted against its limit until now.
    forgotten: u32,
}

/// What is changed at an endpoint
#[utoipa::path(get, path = "/api/v1/admin/endpoints/{id}", tag = "admin", operation_id = "show_endpoint_change",
    params(("id" = String, Path, description = "The endpoint, its `/` written as `%2F`")),
    security(("token" = [])),
    responses((status = 200, description = "What is changed", body = Changed)))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    _: Admin,
    NamePath(id): NamePath,
) -> Result<Json<Changed>, ApiError> {
    let info = find(&app, &id)?;
    Ok(Json(Changed::new(info, current(&app, &info.id).await?)))
}

/// Changes an endpoint's limit, drains it, or resets its breaker; claims heed it at once
#[utoipa::path(put, path = "/api/v1/admin/endpoints/{id}", tag = "admin", operation_id = "change_endpoint",
    params(("id" = String, Path, description = "The endpoint, its `/` written as `%2F`")),
    security(("token" = [])), request_body = Change,
    responses((status = 200, description = "What is changed now", body = Changed)))]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    NamePath(id): NamePath,
    JsonBody(change): JsonBody<Change>,
) -> Result<Json<Changed>, ApiError> {
    let info = find(&app, &id)?;
    let most = info.max_limit.max(info.limit);
    if change.limit.is_some_and(|limit| limit > most) {
        let message =
            format!("limit must be from 0 to {most}; raise max_limit in the endpoints file for more");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "limit_too_high", message));
    }
    let before = current(&app, &info.id).await?;
    let reset_at = if change.reset_breaker { Some(app.api.clock.now()) } else { before.reset_at };
    let after = EndpointOverride { limit: change.limit, drain: change.drain, reset_at };
    let detail = serde_json::to_string(&after).map_err(ApiError::internal)?;
    caller.note(&app, "endpoint.change", id, Some(detail)).await?;
    app.api.operations.set_override(info.id.clone(), after.clone()).await?;
    Ok(Json(Changed::new(info, after)))
}

/// Frees the slots of calls that were left at an endpoint, once it surely has ended them; until then its limit does not hold
#[utoipa::path(post, path = "/api/v1/admin/endpoints/{id}/forget-abandoned", tag = "admin", operation_id = "forget_abandoned",
    params(("id" = String, Path, description = "The endpoint, its `/` written as `%2F`")),
    security(("token" = [])),
    responses((status = 200, description = "What was forgotten", body = Forgotten)))]
pub(crate) async fn forget_abandoned(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    NamePath(id): NamePath,
) -> Result<Json<Forgotten>, ApiError> {
    let info = find(&app, &id)?;
    caller.note(&app, "endpoint.forget_abandoned", id, None).await?;
    let forgotten = app.api.operations.forget_abandoned(info.id.clone(), app.api.clock.now()).await?;
    Ok(Json(Forgotten { id: info.id.clone(), forgotten }))
}

fn find<'a>(app: &'a App, id: &str) -> Result<&'a EndpointInfo, ApiError> {
    app.api.catalog.endpoints().iter().find(|info| info.id.as_str() == id).ok_or_else(|| {
        let message =
            "there is no such endpoint; GET /api/v1/endpoints lists them, and `/` is written as %2F";
        ApiError::new(StatusCode::NOT_FOUND, "endpoint_not_found", message)
    })
}

async fn current(app: &App, id: &EndpointId) -> Result<EndpointOverride, ApiError> {
    let all = app.api.operations.overrides(MOST).await?;
    Ok(all.into_iter().find(|(endpoint, _)| endpoint == id).map(|(_, change)| change).unwrap_or_default())
}

impl Changed {
    fn new(info: &EndpointInfo, change: EndpointOverride) -> Self {
        Self {
            id: info.id.clone(),
            limit: change.limit,
            drain: change.drain,
            reset_at: change.reset_at,
            configured_limit: info.limit,
            max_limit: info.max_limit.max(info.limit),
        }
    }
}
