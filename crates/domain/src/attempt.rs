//! Attempts: the append-only history of an execution (L2).

use std::time::Duration;

use beacon_spec::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CallError, Usage};

/// One try of an execution and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    /// When the execution could first be claimed.
    pub queued_at: Timestamp,
    /// When the call was dispatched.
    pub dispatched_at: Timestamp,
    /// When the provider says that it started, if told (L6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Dispatch to end, on a clock that never jumps.
    #[serde(rename = "duration_s", with = "crate::seconds")]
    pub duration: Duration,
    /// What it consumed, as far as told.
    pub usage: Usage,
    /// Result URLs read.
    pub redirects: u32,
    /// Whether it re-attached to a call that an earlier worker had started.
    pub resumed: bool,
    /// The provider's id of the call, if told.
    pub provider_call_id: Option<String>,
    /// Why it failed; `None` for an answer.
    pub error: Option<CallError>,
    /// Whether it came after its execution had already ended; kept, not counted (S7).
    pub late: bool,
}
