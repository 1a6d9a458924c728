//! Endpoints: where one model is served in one region, and what is known of them.

use std::{fmt, sync::Arc, time::Duration};

use beacon_spec::{ModelId, Region};
use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Names it.
            #[must_use]
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// An endpoint's id from the configuration, such as `us-east/llama3.2-1b`.
    EndpointId
);
name!(
    /// A provider account whose endpoints share a budget of calls in flight.
    AccountId
);

/// An endpoint as the plan and the limits see it. How to call it is the provider's business.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointInfo {
    /// Its id.
    pub id: EndpointId,
    /// The model served.
    pub model: ModelId,
    /// The region it is served in.
    pub region: Region,
    /// Calls in flight allowed, over all jobs, workers and processes; at least 1.
    pub limit: u32,
    /// The highest limit that an operator may set at run time; at least `limit`.
    pub max_limit: u32,
    /// How long it may go on with a call after we left it, by a cancel, a time limit or the end of a worker. The call counts
    /// against every limit until then (S1).
    pub linger: Duration,
    /// The account that pays, if it shares a limit with others.
    pub account: Option<AccountId>,
    /// Whether the first call after a pause goes alone (S8).
    pub cold_probe: bool,
    /// Limits that adapt: floor and ceiling; `None` for a fixed limit (S10).
    pub adaptive: Option<(u32, u32)>,
    /// Price in millionths of a dollar per second that the provider reports.
    pub price_micros_per_s: u64,
    /// Estimates for the plan, if the operator gave them.
    pub timing: Option<Timing>,
}

impl EndpointInfo {
    /// An endpoint that takes one call at a time and of which nothing else is known.
    #[must_use]
    pub const fn new(id: EndpointId, model: ModelId, region: Region) -> Self {
        Self {
            id,
            model,
            region,
            limit: 1,
            max_limit: 1,
            linger: Duration::ZERO,
            account: None,
            cold_probe: false,
            adaptive: None,
            price_micros_per_s: 0,
            timing: None,
        }
    }
}

/// What an operator expects of an endpoint; only for estimates, never for limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Start-up before the first answer.
    #[serde(rename = "cold_s", with = "crate::seconds")]
    pub cold: Duration,
    /// One answer when warm.
    #[serde(rename = "warm_s", with = "crate::seconds")]
    pub warm: Duration,
}
