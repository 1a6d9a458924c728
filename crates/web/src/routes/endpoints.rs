//! Endpoints, models and regions.

use std::sync::Arc;

use axum::{Json, extract::State};

use crate::{
    api::App,
    error::ApiError,
    shapes::{Endpoints, Models, Regions},
};

/// Every endpoint that jobs are planned over: its state, its limit, what runs and what waits, how long it took, and its price
#[utoipa::path(get, path = "/api/v1/endpoints", tag = "endpoints",
    responses((status = 200, description = "The endpoints", body = Endpoints)))]
pub(crate) async fn endpoints(State(app): State<Arc<App>>) -> Result<Json<Endpoints>, ApiError> {
    let board = &app.api.board;
    let (statuses, latencies) = (board.endpoints(app.api.clock.now()).await?, board.latencies().await?);
    Ok(Json(Endpoints::new(&app.api.catalog, &statuses, &latencies)))
}

/// Every model that is served, and where
#[utoipa::path(get, path = "/api/v1/models", tag = "endpoints",
    responses((status = 200, description = "The models", body = Models)))]
pub(crate) async fn models(State(app): State<Arc<App>>) -> Json<Models> {
    Json((&app.api.catalog).into())
}

/// The closed set of regions, and what is served there
#[utoipa::path(get, path = "/api/v1/regions", tag = "endpoints",
    responses((status = 200, description = "The regions", body = Regions)))]
pub(crate) async fn regions(State(app): State<Arc<App>>) -> Json<Regions> {
    Json((&app.api.catalog).into())
}
