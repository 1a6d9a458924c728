//! `/docs`: the OpenAPI document for people, in one page without outside assets.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use beacon_spec::Sha256Digest;
use http::header;

const SCRIPT: &str = include_str!("docs.js");
const STYLE: &str = include_str!("docs.css");

/// The page, and the policy that lets it run its own script and no other.
static PAGE: LazyLock<(String, String)> = LazyLock::new(|| {
    let page = include_str!("docs.html").replace("{style}", STYLE).replace("{script}", SCRIPT);
    let hash = |text: &str| STANDARD.encode(Sha256Digest::of(text.as_bytes()).as_bytes());
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    (page, policy)
});

/// The document for people
#[utoipa::path(get, path = "/docs", tag = "service", operation_id = "docs",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(crate) async fn page() -> Response {
    let (page, policy) = &*PAGE;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
    ];
    (headers, page.as_str()).into_response()
}
