//! Headers that keep browsers from doing more than they are asked, and origins that may call.

use axum::Router;
use http::{HeaderName, HeaderValue, Method, header};
use tower_http::{
    cors::{AllowOrigin, CorsLayer},
    set_header::SetResponseHeaderLayer,
};

const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every answer says, unless it has its own.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (PERMISSIONS, "camera=(), geolocation=(), microphone=()"),
    (OPENER, "same-origin"),
];

/// Only over TLS (RFC 6797 section 7.2). Other names below the host's are not ours to speak for.
const TLS_ONLY: (HeaderName, &str) = (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");

/// Puts the headers on every answer.
pub(crate) fn headers(router: Router, secured: bool) -> Router {
    let layer = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let all = HEADERS.into_iter().chain(secured.then_some(TLS_ONLY));
    let router = all.fold(router, |router, (name, value)| router.layer(layer(name, value)));
    router.layer(layer(header::CACHE_CONTROL, "no-store"))
}

/// Lets pages of these origins call. Without any, browsers let no page of another origin read an answer.
pub(crate) fn origins(router: Router, origins: &[HeaderValue]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let asks = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_NONE_MATCH,
        HeaderName::from_static("last-event-id"),
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("signature-input"),
        HeaderName::from_static("signature"),
        REQUEST_ID,
    ];
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(asks)
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            HeaderName::from_static("idempotency-replayed"),
            REQUEST_ID,
        ]);
    router.layer(cors)
}
