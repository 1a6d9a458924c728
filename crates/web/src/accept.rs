//! What the caller accepts: an answer of another type is a 406, in the one envelope.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, header};

use crate::error::ApiError;

/// Refuses to answer a read with a type that its `Accept` excludes. What changed something is always answered.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let accepted = reads.then(|| accepted(request.headers())).flatten();
    let response = next.run(request).await;
    let (Some(accepted), true) = (accepted, response.status().is_success()) else { return response };
    let given = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match given.map(essence).filter(|given| !accepts(&accepted, given)) {
        None => response,
        Some(given) => {
            let message = format!("this answer is {given}, which the header `accept` excludes");
            ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message).into_response()
        }
    }
}

/// The `Accept` headers as one, if there are any.
fn accepted(headers: &HeaderMap) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn essence(media: &str) -> String {
    media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a list of media ranges has room for this type (RFC 9110, 12.5.1): the most exact range decides.
fn accepts(accept: &str, media: &str) -> bool {
    if accept.trim().is_empty() {
        return true;
    }
    let kind = media.split('/').next().unwrap_or_default();
    let exactness = |range: &str| match range {
        "*/*" => Some(0),
        range if range.strip_suffix("/*") == Some(kind) => Some(1),
        range => (range == media).then_some(2),
    };
    let ranges = accept.split(',').filter_map(|range| Some((exactness(&essence(range))?, weight(range))));
    ranges.max_by(|one, other| one.0.cmp(&other.0)).is_some_and(|(_, weight)| weight > 0.0)
}

fn weight(range: &str) -> f32 {
    let q = range.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("q="));
    q.map_or(1.0, |q| q.trim().parse().unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::accepts;

    #[test]
    fn the_most_exact_range_decides() {
        for accept in ["", "*/*", "application/*", "application/json", "text/html, application/json;q=0.1"] {
            assert!(accepts(accept, "application/json"), "{accept}");
        }
        for accept in ["text/html", "text/*", "application/json;q=0", "*/*, application/json;q=0"] {
            assert!(!accepts(accept, "application/json"), "{accept}");
        }
    }
}
