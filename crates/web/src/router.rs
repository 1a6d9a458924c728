//! All routes, and what holds for every one of them.

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware, routing::get};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    accept,
    access::{self, TokenCache},
    api::{Api, App},
    bodies::{self, Bodies},
    error,
    events::{Watchers, portions},
    metrics::{self, Metrics},
    openapi, page, request_id,
    routes::{
        admin, cancel, catalogue, deliveries, endpoints, events, executions, explain, jobs, matrix, records,
        results, retry, service, steer, submit, verify,
    },
    security,
    throttle::{self, Throttle},
};

/// Every route with its part of the document.
pub(crate) fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(jobs::list, submit::submit))
        .routes(routes!(submit::submit_wrapped))
        .routes(routes!(submit::plan))
        .routes(routes!(jobs::show))
        .routes(routes!(matrix::matrix))
        .routes(routes!(executions::of_job))
        .routes(routes!(events::events))
        .routes(routes!(results::results))
        .routes(routes!(records::spec))
        .routes(routes!(records::receipts))
        .routes(routes!(records::close))
        .routes(routes!(deliveries::of_job))
        .routes(routes!(explain::explain))
        .routes(routes!(cancel::cancel))
        .routes(routes!(steer::pause))
        .routes(routes!(steer::resume))
        .routes(routes!(retry::failed))
        .routes(routes!(retry::one))
        .routes(routes!(executions::recent))
        .routes(routes!(executions::show))
        .routes(routes!(records::receipt))
        .routes(routes!(catalogue::questions))
        .routes(routes!(endpoints::models))
        .routes(routes!(endpoints::regions))
        .routes(routes!(endpoints::endpoints))
        .routes(routes!(verify::verify))
        .routes(routes!(service::version))
        .routes(routes!(service::health))
        .routes(routes!(service::ready))
        .routes(routes!(metrics::metrics))
        .routes(routes!(openapi::served))
        .routes(routes!(page::page))
        .merge(administration())
}

/// What needs a token of the scope `admin`.
fn administration() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(admin::keys::list, admin::keys::add))
        .routes(routes!(admin::keys::revoke))
        .routes(routes!(admin::webhook_secret::show))
        .routes(routes!(admin::quotas::show, admin::quotas::set, admin::quotas::take_back))
        .routes(routes!(admin::endpoints::show, admin::endpoints::set))
        .routes(routes!(admin::endpoints::forget_abandoned))
        .routes(routes!(admin::tokens::list, admin::tokens::add))
        .routes(routes!(admin::tokens::revoke))
        .routes(routes!(admin::watch::audit))
        .routes(routes!(admin::watch::stuck))
        .routes(routes!(admin::watch::workers))
}

/// Routes under the names that clients of older systems know; the document has each under one name only.
fn old_names() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/jobs/{id}/executions/all", get(executions::of_job))
        .route("/api/v1/executions/{id}/details", get(executions::show))
        .route("/api/v1/health", get(service::health))
        .route("/api/v1/health/live", get(service::health))
        .route("/api/v1/health/ready", get(service::ready))
        .route("/api/v1/metrics", get(metrics::metrics))
}

/// The API as a service.
pub fn router(api: Api) -> Router {
    let (router, _) = documented().split_for_parts();
    let (body, origins, secured) = (api.limits.max_body_bytes, api.origins.clone(), api.secured);
    let watchers = Arc::new(Watchers::new(&api));
    let document = serde_json::to_vec(&openapi::document()).unwrap_or_default().into();
    let throttle = Throttle::new(api.rates, &api.clock);
    let tokens = TokenCache::default();
    let streams = portions(api.limits.streams_per_address);
    let app = Arc::new(App {
        api,
        watchers,
        metrics: Metrics::new(),
        throttle,
        bodies: Bodies::new(),
        streams,
        tokens,
        document,
    });
    // The last layer is the outermost.
    let router = router
        .merge(old_names())
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        .layer(DefaultBodyLimit::max(body))
        .layer(middleware::from_fn(accept::check))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), access::guard))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), bodies::limit))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), error::within))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), throttle::limit))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), metrics::count))
        .with_state(app);
    let router = security::headers(security::origins(router, &origins), secured);
    router.layer(middleware::from_fn(request_id::stamp))
}
