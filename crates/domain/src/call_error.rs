//! Why a call failed: a closed set of codes; the class alone decides the retry (C5).

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A failed call. `message` is bounded and safe to store; it never holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code} while {stage}: {message}")]
pub struct CallError {
    /// What happened.
    pub code: ErrorCode,
    /// Where it happened.
    pub stage: Stage,
    /// The HTTP status, if there was one.
    pub http_status: Option<u16>,
    /// The provider's text or our explanation, at most [`CallError::MAX_MESSAGE_CHARS`] characters.
    pub message: String,
    /// When the endpoint asked us to come back, from now.
    pub retry_after: Option<Duration>,
    /// Whether the endpoint surely did no work, so a new POST repeats nothing (C3).
    pub surely_not_started: bool,
}

/// What a retry may do with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// We were told to slow down.
    Throttled,
    /// The endpoint has no room.
    Overloaded,
    /// There is nothing to call: no connection, or an app that is stopped. No request reached it, nothing was paid.
    Unreachable,
    /// The call was lost on its way or by its gateway; it may have begun.
    Unavailable,
    /// A time limit passed.
    Timeout,
    /// We stopped the call, or somebody else did.
    Cancelled,
    /// The input or the configuration can never succeed; a person must change it.
    Rejected,
    /// The answer breaks the protocol.
    Protocol,
    /// The account's spending limit is reached; a person must act.
    SpendLimit,
    /// The endpoint failed inside.
    Internal,
}

/// Every code. Stable names: they stand in stores, receipts and JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 429 or an equivalent.
    Throttled,
    /// 503 with no work begun.
    Overloaded,
    /// Connection refused.
    ConnectRefused,
    /// The host's name does not resolve.
    DnsFailed,
    /// TLS could not be agreed.
    TlsFailed,
    /// The connection broke before any answer; the call may have started.
    ConnectionLost,
    /// 502, 504, or the gateway lost the call.
    GatewayFailed,
    /// The deployed app is stopped or missing.
    EndpointStopped,
    /// Our time limit passed.
    AttemptTimeout,
    /// The provider's own time limit passed.
    ProviderTimeout,
    /// The call was stopped by us.
    Cancelled,
    /// The provider cancelled or expired the call.
    ProviderCancelled,
    /// Credentials are missing or wrong.
    Unauthorized,
    /// The input was refused.
    RejectedInput,
    /// The endpoint does not serve this model.
    UnknownModel,
    /// Another 4xx.
    RejectedRequest,
    /// The body is not what the protocol says: not JSON, truncated, wrong type, missing field.
    MalformedAnswer,
    /// The body is longer than allowed.
    AnswerTooLarge,
    /// A redirect that is not a result URL, or leads elsewhere.
    BadRedirect,
    /// More redirects than allowed.
    TooManyRedirects,
    /// The answer names another region.
    RegionMismatch,
    /// The answer names another model.
    ModelMismatch,
    /// The result URL no longer knows the call.
    ResultExpired,
    /// The account's spending limit is reached.
    SpendLimit,
    /// The endpoint's own 5xx or error text.
    EndpointFailed,
    /// Killed by a signal, out of memory or preempted.
    Preempted,
    /// Our own fault; worth a report.
    Internal,
    /// The execution's budget ended before it could run.
    BudgetExhausted,
    /// The job's or the queue's deadline passed before it could run.
    DeadlinePassed,
}

/// Where in a call it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Waiting to be dispatched.
    Queue,
    /// Name, connection, TLS.
    Connect,
    /// Sending the request and waiting for the answer's head.
    Request,
    /// Reading a result URL.
    ResultUrl,
    /// Reading and understanding the body.
    Body,
    /// Comparing the answer with what was asked.
    Check,
}

impl CallError {
    /// The longest message kept.
    pub const MAX_MESSAGE_CHARS: usize = 500;

    /// An error with its message cut to the bound and stripped of control characters.
    #[must_use]
    pub fn new(code: ErrorCode, stage: Stage, message: impl AsRef<str>) -> Self {
        let message = message.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c });
        let message = message.take(Self::MAX_MESSAGE_CHARS).collect();
        Self { code, stage, http_status: None, message, retry_after: None, surely_not_started: false }
    }

    /// The class, which alone decides the retry.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        self.code.class()
    }

    /// Whether the endpoint may still be working on the call, since nothing that came from it says that it is not (S1).
    #[must_use]
    pub const fn may_still_run(&self) -> bool {
        let sent = matches!(self.stage, Stage::Request | Stage::ResultUrl | Stage::Body);
        sent && !self.surely_not_started && self.code.leaves_the_call_running()
    }
}

impl ErrorCode {
    /// The class of this code.
    #[must_use]
    pub const fn class(self) -> ErrorClass {
        match self {
            Self::Throttled => ErrorClass::Throttled,
            Self::Overloaded => ErrorClass::Overloaded,
            Self::ConnectRefused | Self::DnsFailed | Self::TlsFailed | Self::EndpointStopped => {
                ErrorClass::Unreachable
            }
            Self::ConnectionLost | Self::GatewayFailed | Self::ProviderCancelled | Self::ResultExpired => {
                ErrorClass::Unavailable
            }
            Self::AttemptTimeout | Self::ProviderTimeout | Self::DeadlinePassed => ErrorClass::Timeout,
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Unauthorized | Self::RejectedInput | Self::UnknownModel | Self::RejectedRequest => {
                ErrorClass::Rejected
            }
            Self::MalformedAnswer
            | Self::AnswerTooLarge
            | Self::BadRedirect
            | Self::TooManyRedirects
            | Self::RegionMismatch
            | Self::ModelMismatch => ErrorClass::Protocol,
            Self::SpendLimit | Self::BudgetExhausted => ErrorClass::SpendLimit,
            Self::EndpointFailed | Self::Preempted | Self::Internal => ErrorClass::Internal,
        }
    }
}

impl ErrorCode {
    /// Whether it says that we stopped waiting, and not that the endpoint stopped working.
    const fn leaves_the_call_running(self) -> bool {
        match self {
            Self::AttemptTimeout
            | Self::Cancelled
            | Self::ConnectionLost
            | Self::GatewayFailed
            | Self::BadRedirect
            | Self::TooManyRedirects
            | Self::Internal => true,
            Self::Throttled
            | Self::Overloaded
            | Self::ConnectRefused
            | Self::DnsFailed
            | Self::TlsFailed
            | Self::EndpointStopped
            | Self::ProviderTimeout
            | Self::ProviderCancelled
            | Self::Unauthorized
            | Self::RejectedInput
            | Self::UnknownModel
            | Self::RejectedRequest
            | Self::MalformedAnswer
            | Self::AnswerTooLarge
            | Self::RegionMismatch
            | Self::ModelMismatch
            | Self::ResultExpired
            | Self::SpendLimit
            | Self::EndpointFailed
            | Self::Preempted
            | Self::BudgetExhausted
            | Self::DeadlinePassed => false,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        serde_json::to_value(self).map_err(|_| fmt::Error)?.as_str().map_or(Err(fmt::Error), |s| f.pad(s))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "waiting",
            Self::Connect => "connecting",
            Self::Request => "waiting for the answer",
            Self::ResultUrl => "reading the result URL",
            Self::Body => "reading the answer",
            Self::Check => "checking the answer",
        })
    }
}
