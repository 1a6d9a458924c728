//! What is sent to an endpoint: frozen at acceptance, the same for every attempt (S5, P8).

use std::sync::Arc;

use beacon_spec::{ModelId, Region, Sampling, Sha256Digest};
use serde::{Deserialize, Serialize};

/// One call's content. A retry sends exactly this again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRequest {
    /// The model asked.
    pub model: ModelId,
    /// The region asked.
    pub region: Region,
    /// The text as sent.
    pub prompt: Arc<str>,
    /// The sampling parameters as sent.
    pub sampling: Sampling,
}

impl CallRequest {
    /// SHA-256 over the request's JSON (fields in declaration order); stands in the receipt as `request_hash`.
    #[must_use]
    pub fn hash(&self) -> Sha256Digest {
        let json = serde_json::to_vec(self).expect("a request has only string keys and finite numbers");
        Sha256Digest::of(&json)
    }
}
