//! An id for every request, in its answer's header, its errors and its log lines.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue};
use rand::RngExt as _;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 128;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task serves.
pub(crate) fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Takes the caller's id if it is short and printable, else makes one; writes a line about the request.
pub(crate) async fn stamp(request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).and_then(|id| id.to_str().ok());
    let fits = |id: &&str| !id.is_empty() && id.len() <= LONGEST && id.chars().all(|c| c.is_ascii_graphic());
    let id = given.filter(fits).map_or_else(fresh, str::to_owned);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = CURRENT.scope(id.clone(), next.run(request)).await;
    let status = response.status().as_u16();
    // Probes come every few seconds for ever; what changes something, or fails, is worth a line.
    if method == http::Method::GET && response.status().is_success() {
        tracing::debug!(request_id = id, %method, path, status, "{method} {path}: {status}");
    } else {
        tracing::info!(request_id = id, %method, path, status, "{method} {path}: {status}");
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn fresh() -> String {
    let mut bytes = [0_u8; 16];
    rand::rng().fill(&mut bytes);
    hex::encode(bytes)
}
