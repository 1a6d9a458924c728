//! Settings of the API.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use beacon_domain::{Batching, seconds};
use serde::{Deserialize, Serialize};

use super::Secret;

/// What the API does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The ring of keys whose jobs are taken.
    pub keys: PathBuf,
    /// Whoever shows it may cancel any job; without it nobody may over HTTP. At least 32 characters.
    pub operator_token: Option<Secret>,
    /// How questions follow each other.
    pub batching: Batching,
    /// A job's time limit when its spec gives none.
    #[serde(rename = "job_s", with = "seconds")]
    pub job: Duration,
    /// How far a signed time stamp may be in the past.
    #[serde(rename = "freshness_s", with = "seconds")]
    pub freshness: Duration,
    /// The longest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// How long a request may take.
    #[serde(rename = "request_s", with = "seconds")]
    pub request: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            keys: "keys.json".into(),
            operator_token: None,
            batching: Batching::default(),
            job: Duration::from_secs(24 * 3600),
            freshness: Duration::from_secs(600),
            max_body_bytes: 16 * 1024 * 1024,
            request: Duration::from_secs(30),
        }
    }
}

impl ApiConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        let weak = |token: &Secret| token.reveal().len() < 32;
        if self.operator_token.as_ref().is_some_and(weak) {
            return Err(
                "api.operator_token is shorter than 32 characters; make one with `openssl rand -hex 32`"
                    .into(),
            );
        }
        Ok(())
    }
}
