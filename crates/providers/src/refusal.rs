//! Refusals: statuses that are neither an answer nor a redirect, read by number alone.

use std::time::Duration;

use beacon_domain::{CallError, ErrorCode, Stage};

/// What an endpoint said in place of an answer.
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    /// The beginning of the body.
    pub(crate) body: &'a str,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) on_result_url: bool,
    pub(crate) provider_queues: bool,
}

const MAX_QUOTE_CHARS: usize = 300;

impl Refusal<'_> {
    /// Whether Modal's edge said it, and not the application (<https://modal.com/docs/guide/webhooks>).
    pub(crate) fn is_from_edge(&self) -> bool {
        self.body.trim_start().get(..11).is_some_and(|start| start.eq_ignore_ascii_case("modal-http:"))
    }

    /// The code that the status alone stands for.
    pub(crate) fn code(&self) -> ErrorCode {
        match self.status {
            404 | 410 if self.on_result_url => ErrorCode::ResultExpired,
            status => status_code(status),
        }
    }

    /// The error of this code. A refusal at the door says that no work was begun (C3); a result URL has no door.
    pub(crate) fn error(&self, code: ErrorCode, message: &str) -> CallError {
        let at_the_door = match code {
            ErrorCode::Throttled | ErrorCode::SpendLimit | ErrorCode::EndpointStopped => true,
            ErrorCode::Unauthorized => self.is_from_edge(),
            ErrorCode::Overloaded => self.is_from_edge() || !self.provider_queues,
            _ => false,
        };
        let stage = if self.on_result_url { Stage::ResultUrl } else { Stage::Request };
        let mut error = CallError::new(code, stage, message);
        error.http_status = Some(self.status);
        error.retry_after = self.retry_after;
        error.surely_not_started = at_the_door && !self.on_result_url;
        error
    }

    /// The endpoint's own words, bounded.
    pub(crate) fn quote(&self) -> String {
        let text = self.body.trim();
        if text.is_empty() {
            return format!("HTTP {} without text", self.status);
        }
        if text.starts_with('<') {
            return format!("HTTP {} with an HTML page", self.status);
        }
        text.chars().take(MAX_QUOTE_CHARS).collect()
    }
}

/// The code that a status stands for on any HTTP server (RFC 9110 section 15).
pub(crate) const fn status_code(status: u16) -> ErrorCode {
    match status {
        400 | 413 | 422 => ErrorCode::RejectedInput,
        401 | 403 => ErrorCode::Unauthorized,
        402 => ErrorCode::SpendLimit,
        408 => ErrorCode::ProviderCancelled,
        429 => ErrorCode::Throttled,
        502 | 504 => ErrorCode::GatewayFailed,
        503 => ErrorCode::Overloaded,
        500..=599 => ErrorCode::EndpointFailed,
        100..=199 => ErrorCode::MalformedAnswer,
        _ => ErrorCode::RejectedRequest,
    }
}
