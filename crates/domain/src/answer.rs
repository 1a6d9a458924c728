//! What an endpoint answered, with everything it told about the call.

use std::time::Duration;

use beacon_spec::{ModelId, Region, Timestamp};
use serde::{Deserialize, Serialize};

/// A finished answer. Empty text is an answer too (C5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The text as received.
    pub text: String,
    /// The model that the endpoint says it used, in the endpoint's own words.
    pub model_observed: Option<ModelId>,
    /// The region that the endpoint says it ran in, resolved.
    pub region_observed: Option<Region>,
    /// Tokens and provider seconds, as far as told.
    pub usage: Usage,
    /// Why generation ended, if told (`stop`, `length`, …).
    pub finish_reason: Option<String>,
    /// The serving configuration's fingerprint, if told.
    pub system_fingerprint: Option<String>,
    /// The provider's id of the call, if told (response id, function call id).
    pub provider_call_id: Option<String>,
    /// When the provider says that it started, if told (L6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_started_at: Option<Timestamp>,
    /// How many result URLs were read before the answer came (C1).
    pub redirects: u32,
}

impl Answer {
    /// An answer of which nothing but the text is known.
    #[must_use]
    pub fn of_text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            model_observed: None,
            region_observed: None,
            usage: Usage::default(),
            finish_reason: None,
            system_fingerprint: None,
            provider_call_id: None,
            provider_started_at: None,
            redirects: 0,
        }
    }
}

/// What a call consumed, as far as the provider tells. Absent is unknown, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens in.
    pub prompt_tokens: Option<u64>,
    /// Tokens out.
    pub completion_tokens: Option<u64>,
    /// Time that the provider says it worked.
    #[serde(rename = "provider_time_s", with = "crate::seconds::option", default)]
    pub provider_time: Option<Duration>,
    /// Cost in millionths of a dollar: provider time × price (O3); set by the scheduler.
    pub cost_micros: Option<u64>,
}
