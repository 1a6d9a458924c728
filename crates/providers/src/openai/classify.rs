//! The error object `{error: {message, type, code}}` as codes; what has none is read as Modal's edge.

use beacon_domain::{CallError, ErrorCode};
use serde_json::Value;

use crate::{exchange::Refusal, modal::classify::classify as status_only};

/// Reads a status that is no answer.
pub(crate) fn classify(refusal: &Refusal<'_>) -> CallError {
    let mut error = status_only(refusal);
    let Ok(body) = serde_json::from_str::<Value>(refusal.body) else { return error };
    let Some(object) = body.get("error") else { return error };
    if let Some((code, text)) = read(object) {
        error.code = code.unwrap_or(error.code);
        // A refusal of credentials may quote a part of them; the status's own advice stays.
        if error.code != ErrorCode::Unauthorized {
            error.message = CallError::new(error.code, error.stage, text).message;
        }
    }
    error
}

/// The code, if the object names one, and its text.
pub(crate) fn read(object: &Value) -> Option<(Option<ErrorCode>, String)> {
    let field = |name: &str| object.get(name).and_then(Value::as_str);
    let text = field("message").or(object.as_str())?.to_owned();
    let named = |name: &str| field("code") == Some(name) || field("type") == Some(name);
    let code = if named("insufficient_quota") || named("billing_hard_limit_reached") {
        Some(ErrorCode::SpendLimit)
    } else if named("model_not_found") || (named("NotFoundError") && text.contains("model")) {
        Some(ErrorCode::UnknownModel)
    } else if named("invalid_api_key") || named("authentication_error") {
        Some(ErrorCode::Unauthorized)
    } else if named("rate_limit_exceeded") {
        Some(ErrorCode::Throttled)
    } else if named("invalid_request_error") || named("context_length_exceeded") {
        Some(ErrorCode::RejectedInput)
    } else {
        None
    };
    Some((code, text))
}
