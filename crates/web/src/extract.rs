//! What handlers take from a request; whatever does not fit is refused in the one envelope.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
};
use beacon_domain::{ExecutionId, JobId};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{api::App, error::ApiError, request_id::about};

/// The job that the path names. What is no id names no job.
pub(crate) struct JobPath(pub(crate) JobId);

/// The execution that the path names: `{job}-{n}`.
pub(crate) struct ExecutionPath(pub(crate) ExecutionId);

/// The members of the query.
pub(crate) struct Asked<T>(pub(crate) T);

/// A body of JSON, as the bytes that arrived.
pub(crate) struct JsonBytes(pub(crate) Bytes);

/// A whole request with a body of JSON: who sent it may depend on what it is.
pub(crate) struct Whole {
    pub(crate) parts: Parts,
    /// The bytes that arrived.
    pub(crate) body: Bytes,
}

/// A body of JSON, read as the type that it must have.
pub(crate) struct JsonBody<T>(pub(crate) T);

/// The name that the path gives to something, whatever it is.
pub(crate) struct NamePath(pub(crate) String);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let JsonBytes(bytes) = JsonBytes::from_request(request, app).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads a body; what is wrong with it is told with line and column.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let refused = |message: String| ApiError::new(StatusCode::BAD_REQUEST, "invalid_body", message);
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(refused("the body is one JSON object, {…}; here is an array".to_owned()));
    }
    let error = match serde_json::from_slice(bytes) {
        Ok(read) => return Ok(read),
        Err(error) => error.to_string(),
    };
    if error.starts_with("duplicate field") {
        return Err(refused(error));
    }
    // JSON Schema counts 5.0 among the whole numbers.
    let whole = serde_json::from_slice(bytes).map(whole).and_then(serde_json::from_value);
    whole.map_err(|_| refused(error))
}

/// The value with whole numbers written as such, as far as a double is exact.
fn whole(value: Value) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(double) if number.is_f64() && double.fract() == 0.0 && double.abs() < EXACT => {
                Value::from(double as i64)
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, whole(value))).collect(),
        other => other,
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NamePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // What is no UTF-8 is nobody's name.
        Ok(Self(text(parts, state).await.unwrap_or_default()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = text(parts, state).await.ok_or_else(ApiError::no_job)?;
        let id = id.parse().map_err(|_| ApiError::no_job())?;
        about(id);
        Ok(Self(id))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ExecutionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = text(parts, state).await.ok_or_else(ApiError::no_execution)?;
        let id = execution(&id).ok_or_else(ApiError::no_execution)?;
        about(id.job);
        Ok(Self(id))
    }
}

/// The one parameter of the path; nothing if its escapes are no UTF-8.
async fn text<S: Send + Sync>(parts: &mut Parts, state: &S) -> Option<String> {
    Path::<String>::from_request_parts(parts, state).await.ok().map(|Path(text)| text)
}

/// Reads the form in which the API names executions.
fn execution(text: &str) -> Option<ExecutionId> {
    let (job, n) = text.split_once('-')?;
    let plain = n.bytes().all(|byte| byte.is_ascii_digit()) && (n == "0" || !n.starts_with('0'));
    Some(ExecutionId { job: job.parse().ok()?, n: n.parse().ok().filter(|_| plain)? })
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => {
                let text = rejection.body_text();
                Err(ApiError::query(in_our_words(&text)))
            }
        }
    }
}

/// What the reader of queries says, as this API says it. Its text names the parameter, and then what is wrong.
fn in_our_words(text: &str) -> String {
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    if let Some((_, name)) = text.split_once("duplicate field ") {
        return format!("{name} is there twice; send it once");
    }
    let Some((name, problem)) = text.split_once(": ") else { return text.to_owned() };
    let after = |prefix: &str| problem.strip_prefix(prefix)?.split_once(", expected ");
    if let Some((_, known)) = after("unknown field ") {
        let known = known.trim_start_matches("one of ");
        return format!("there is no parameter {name:?}; this route takes {known}");
    }
    if let Some((given, known)) = after("unknown variant ") {
        return format!("{name} must be {known}, and is {given}");
    }
    match problem {
        "provided string was not `true` or `false`" => format!("{name} must be `true` or `false`"),
        _ => format!("{name} {problem}"),
    }
}

impl FromRequest<Arc<App>> for JsonBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        is_json(request.headers())?;
        match Bytes::from_request(request, app).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(too_large(app.api.limits.max_body_bytes))
            }
            Err(rejection) => {
                Err(ApiError::new(StatusCode::BAD_REQUEST, "body_unreadable", rejection.body_text()))
            }
        }
    }
}

impl FromRequest<Arc<App>> for Whole {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let JsonBytes(body) = JsonBytes::from_request(Request::from_parts(parts.clone(), body), app).await?;
        Ok(Self { parts, body })
    }
}

/// Refuses a body that is said to be of another type than JSON, or compressed.
pub(crate) fn is_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let refuse =
        |message| Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    let names_json = |value: &HeaderValue| value.to_str().is_ok_and(names_json);
    if !headers.get(header::CONTENT_TYPE).is_none_or(names_json) {
        return refuse("send the body with `content-type: application/json`");
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        // RFC 9110, 8.4: what was signed are the bytes as they arrive.
        return refuse("send the body as it is, without `content-encoding`");
    }
    Ok(())
}

/// Whether a content type is JSON or a format in JSON.
fn names_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The answer to a body that is longer than this.
pub(crate) fn too_large(limit: usize) -> ApiError {
    let message = format!("the body is longer than {limit} bytes; ask fewer questions in one job");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

#[cfg(test)]
mod tests {
    use super::{execution, in_our_words, names_json};

    #[test]
    fn what_is_wrong_with_a_query_is_told_without_the_words_of_a_library() {
        for (theirs, ours) in [
            (
                "states: unknown field `states`, expected `state` or `name`",
                "there is no parameter \"states\"; this route takes `state` or `name`",
            ),
            (
                "state: unknown variant `odd`, expected one of `queued`, `running`",
                "state must be one of `queued`, `running`, and is `odd`",
            ),
            ("limit: must be a whole number from 1 to 500", "limit must be a whole number from 1 to 500"),
            ("all: provided string was not `true` or `false`", "all must be `true` or `false`"),
            ("duplicate field `all`", "`all` is there twice; send it once"),
            ("something else", "something else"),
        ] {
            assert_eq!(in_our_words(&format!("Failed to deserialize query string: {theirs}")), ours);
        }
    }

    #[test]
    fn an_execution_has_one_name() {
        let job = "0123456789abcdef0123456789abcdef";

        assert_eq!(execution(&format!("{job}-12")).unwrap().n, 12);
        for odd in ["", "-", "12", "x-1", &format!("{job}-"), &format!("{job}-01"), &format!("{job}-+1")] {
            assert!(execution(odd).is_none(), "{odd}");
        }
        assert!(execution(&format!("{job}-4294967296")).is_none());
        assert!(execution(&format!("{job}/1")).is_none());
    }

    #[test]
    fn json_has_parameters_and_dialects() {
        for json in ["application/json", "Application/JSON; charset=utf-8", "application/dsse+json"] {
            assert!(names_json(json), "{json}");
        }
        for other in ["", "text/plain", "text/json", "application/x-www-form-urlencoded"] {
            assert!(!names_json(other), "{other}");
        }
    }
}
