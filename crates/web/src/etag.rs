//! ETags: who polls and has seen an answer already gets a 304 in place of it (A4).

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use beacon_spec::Sha256Digest;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::error::ApiError;

/// JSON with the ETag of its bytes, or a 304 if the caller has them.
pub(crate) fn json(headers: &HeaderMap, value: &impl Serialize) -> Result<Response, ApiError> {
    let bytes = serde_json::to_vec(value).map_err(ApiError::internal)?;
    Ok(tagged(headers, bytes.into()))
}

/// The same for JSON that is written already.
pub(crate) fn tagged(headers: &HeaderMap, body: Bytes) -> Response {
    let digest = Sha256Digest::of(&body).to_string();
    let tag = format!("\"{}\"", &digest[..32]);
    let seen = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| names(value, &tag));
    let mut response = if seen {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    // A cache may keep it, and must ask each time.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Whether a list of tags has this one; weak ones count too (RFC 9110, 13.1.2).
fn names(value: &HeaderValue, tag: &str) -> bool {
    let Ok(value) = value.to_str() else { return false };
    value.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}
