//! The port to a provider: one endpoint that can be called and probed.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{Answer, AttemptId, CallError, CallRequest, EndpointInfo, Monotonic, ResumeToken, SpanId};

/// One endpoint.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Calls the endpoint: at most one POST, then result URLs until the answer or the deadline (C1, C3).
    /// With a resume token it only re-attaches and never starts work anew.
    ///
    /// # Errors
    /// A [`CallError`]; never later than the context's deadline, and soon after its stop token.
    async fn call(&self, request: &CallRequest, context: &CallContext) -> Result<Answer, CallError>;

    /// What the endpoint is and what it allows.
    fn describe(&self) -> &EndpointInfo;

    /// Asks the endpoint's health and model addresses, without starting work.
    async fn probe(&self, deadline: Monotonic) -> ProbeReport;
}

/// What a call may use besides its request.
#[derive(Clone)]
pub struct CallContext {
    /// Which attempt this is; its text is the idempotency key.
    pub attempt: AttemptId,
    /// When the call must have ended, on the injected clock.
    pub deadline: Monotonic,
    /// Ends the call early.
    pub stop: CancellationToken,
    /// How to re-attach to the running call of an earlier worker.
    pub resume: Option<ResumeToken>,
    /// To be awaited as soon as a remote call id or result URL is known, before waiting on it (C2).
    pub checkpoint: Arc<dyn Checkpoint>,
    /// Goes into the endpoint's trace headers (O4).
    pub trace_id: Arc<str>,
    /// This call's span in its job's trace, for the same headers.
    pub span: SpanId,
}

/// Makes a resume token durable.
#[async_trait]
pub trait Checkpoint: Send + Sync {
    /// Returns when the token is durable.
    ///
    /// # Errors
    /// The lease is lost or the store cannot be reached; the call should end with `ErrorCode::Cancelled` or `Internal`.
    async fn save(&self, token: ResumeToken) -> Result<(), CheckpointError>;
}

/// A resume token could not be made durable.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Somebody else has the execution.
    #[error("the lease was lost")]
    Lost,
    /// The store failed.
    #[error("the store cannot be reached: {0}")]
    Store(String),
}

/// What a probe found, one line per configured address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Everything that was asked.
    pub findings: Vec<ProbeFinding>,
}

/// One probed address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFinding {
    /// What the address is for: `health`, `models`, `inference`.
    pub purpose: String,
    /// The address without credentials.
    pub url: String,
    /// Whether it is as expected.
    pub ok: bool,
    /// What was found, and what to do if it is not as expected.
    pub detail: String,
}

impl ProbeReport {
    /// Whether every finding is good.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.ok)
    }
}
