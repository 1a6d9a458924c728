//! Modal's statuses and error texts as codes: one pure function. The texts of Modal's edge start with `modal-http:`.

use beacon_domain::{CallError, ErrorCode, Stage};

use crate::exchange::Refusal;

/// Reads a status that is no answer.
pub(crate) fn classify(refusal: &Refusal<'_>) -> CallError {
    let text = refusal.body.to_ascii_lowercase();
    let has = |needle: &str| text.contains(needle);
    let edge = text.trim_start().starts_with("modal-http:");
    let (code, not_started) = match refusal.status {
        404 | 410 if refusal.on_result_url => (ErrorCode::ResultExpired, false),
        400 if has("bad redirect method") => (ErrorCode::Internal, false),
        400 | 413 | 422 => (ErrorCode::RejectedInput, false),
        401 | 403 => (ErrorCode::Unauthorized, edge),
        404 if has("invalid function call") || has("is stopped") => (ErrorCode::EndpointStopped, true),
        408 => (ErrorCode::ProviderCancelled, false),
        429 if has("spend limit") => (ErrorCode::SpendLimit, true),
        429 => (ErrorCode::Throttled, true),
        500 if has("timed out") => (ErrorCode::ProviderTimeout, false),
        500 if has("terminated by signal") || has("out of memory") || has("preempted") => {
            (ErrorCode::Preempted, false)
        }
        500 if has("lost track of input") => (ErrorCode::GatewayFailed, false),
        502 | 504 => (ErrorCode::GatewayFailed, false),
        503 => (ErrorCode::Overloaded, edge || !refusal.provider_queues),
        500..=599 => (ErrorCode::EndpointFailed, false),
        _ => (ErrorCode::RejectedRequest, false),
    };
    let stage = if refusal.on_result_url { Stage::ResultUrl } else { Stage::Request };
    let mut error = CallError::new(code, stage, explain(code, refusal));
    error.http_status = Some(refusal.status);
    error.retry_after = refusal.retry_after;
    error.surely_not_started = not_started && !refusal.on_result_url;
    error
}

fn explain(code: ErrorCode, refusal: &Refusal<'_>) -> String {
    let text: String = refusal.body.trim().chars().take(300).collect();
    let advice = match code {
        ErrorCode::EndpointStopped => {
            "the app is stopped or the URL's label is wrong; deploy it or correct inference_url"
        }
        ErrorCode::Unauthorized => {
            "check the proxy token (wk-/ws-) behind modal_key_env and modal_secret_env"
        }
        ErrorCode::SpendLimit => "raise the workspace's spending limit",
        ErrorCode::RejectedRequest if refusal.status == 404 => {
            "no such path; inference_url must be the function's full URL"
        }
        ErrorCode::Internal => "a result URL was not read by GET",
        _ => return if text.is_empty() { format!("HTTP {} without text", refusal.status) } else { text },
    };
    format!("{advice}; the endpoint said: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, code: ErrorCode, not_started: bool) {
        let refusal =
            Refusal { status, body, retry_after: None, on_result_url: false, provider_queues: true };

        let error = classify(&refusal);

        assert_eq!((error.code, error.surely_not_started), (code, not_started), "{status} {body}");
        assert_eq!(error.http_status, Some(status));
    }

    #[test]
    fn every_row_of_the_status_table_has_its_code() {
        // C3, C5
        check(400, "modal-http: bad redirect method", ErrorCode::Internal, false);
        check(400, "no prompt", ErrorCode::RejectedInput, false);
        check(401, "modal-http: missing credentials for proxy authorization", ErrorCode::Unauthorized, true);
        check(403, "modal-http: forbidden", ErrorCode::Unauthorized, true);
        check(404, "modal-http: invalid function call", ErrorCode::EndpointStopped, true);
        check(404, "modal-http: app for invoked web endpoint is stopped", ErrorCode::EndpointStopped, true);
        check(404, "{\"detail\":\"Not Found\"}", ErrorCode::RejectedRequest, false);
        check(
            408,
            "Missing request, possibly due to expiry or cancellation",
            ErrorCode::ProviderCancelled,
            false,
        );
        check(413, "", ErrorCode::RejectedInput, false);
        check(422, "", ErrorCode::RejectedInput, false);
        check(429, "slow down", ErrorCode::Throttled, true);
        check(429, "workspace billing cycle spend limit reached", ErrorCode::SpendLimit, true);
        check(
            500,
            "modal-http: internal error: function execution timed out",
            ErrorCode::ProviderTimeout,
            false,
        );
        check(
            500,
            "modal-http: internal error: function was terminated by signal",
            ErrorCode::Preempted,
            false,
        );
        check(
            500,
            "modal-http: internal error: Server has lost track of input",
            ErrorCode::GatewayFailed,
            false,
        );
        check(500, "Internal Server Error", ErrorCode::EndpointFailed, false);
        check(502, "", ErrorCode::GatewayFailed, false);
        check(503, "busy", ErrorCode::Overloaded, false);
        check(503, "modal-http: no container", ErrorCode::Overloaded, true);
        check(504, "", ErrorCode::GatewayFailed, false);
        check(418, "", ErrorCode::RejectedRequest, false);
    }

    #[test]
    fn a_result_url_that_knows_nothing_has_expired_and_work_was_begun() {
        // C2, C3
        for (status, code) in
            [(404, ErrorCode::ResultExpired), (410, ErrorCode::ResultExpired), (429, ErrorCode::Throttled)]
        {
            let refusal =
                Refusal { status, body: "", retry_after: None, on_result_url: true, provider_queues: true };
            let error = classify(&refusal);
            assert_eq!((error.code, error.surely_not_started), (code, false));
        }
    }

    #[test]
    fn a_503_of_a_server_without_queue_began_no_work() {
        // C3
        let refusal = Refusal {
            status: 503,
            body: "",
            retry_after: None,
            on_result_url: false,
            provider_queues: false,
        };
        assert!(classify(&refusal).surely_not_started);
    }
}
