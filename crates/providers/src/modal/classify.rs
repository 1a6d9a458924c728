//! Modal's statuses and error texts as codes: one pure function. The texts of Modal's edge start with `modal-http:`
//! (<https://modal.com/docs/guide/webhooks>; the texts themselves as seen by users, not promised).

use beacon_domain::{CallError, ErrorCode};

use crate::refusal::Refusal;

/// Reads a status that is no answer.
pub(crate) fn classify(refusal: &Refusal<'_>) -> CallError {
    let code = code(refusal);
    let Some(advice) = advice(code, refusal) else { return refusal.error(code, &refusal.quote()) };
    // A refusal of credentials may quote them; the edge is known not to.
    if code == ErrorCode::Unauthorized && !refusal.is_from_edge() {
        return refusal.error(code, advice);
    }
    refusal.error(code, &format!("{advice}; the endpoint said: {}", refusal.quote()))
}

fn code(refusal: &Refusal<'_>) -> ErrorCode {
    let text = refusal.body.to_ascii_lowercase();
    let has = |needle: &str| text.contains(needle);
    match refusal.status {
        404 if !refusal.on_result_url && (has("invalid function call") || has("is stopped")) => {
            ErrorCode::EndpointStopped
        }
        400 if has("bad redirect method") => ErrorCode::Internal,
        403 | 429 if has("spend limit") => ErrorCode::SpendLimit,
        500 if has("timed out") => ErrorCode::ProviderTimeout,
        500 if has("terminated by signal") || has("out of memory") || has("preempted") => {
            ErrorCode::Preempted
        }
        500 if has("lost track of input") => ErrorCode::GatewayFailed,
        _ => refusal.code(),
    }
}

fn advice(code: ErrorCode, refusal: &Refusal<'_>) -> Option<&'static str> {
    Some(match code {
        ErrorCode::EndpointStopped => {
            "the app is stopped or the URL's label is wrong; deploy it or correct inference_url"
        }
        ErrorCode::Unauthorized => {
            "the credentials are missing or wrong; check auth and the variables it names (wk-… and ws-…)"
        }
        ErrorCode::SpendLimit => "the workspace's spending limit is reached; raise it",
        ErrorCode::RejectedRequest if refusal.status == 404 => {
            "no such path; inference_url must be the function's full URL"
        }
        ErrorCode::Internal => "a result URL was not read by GET; please report this",
        _ => return None,
    })
}
