//! Settings of webhooks.

use std::{path::PathBuf, time::Duration};

use beacon_domain::seconds;
use beacon_spec::WebhookSecret;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Secret;

/// Whether webhooks are sent, to where, and under which secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhooksConfig {
    /// The operator's secret, `whsec_…`, from which each key's is derived. Without it no job may have webhooks.
    pub secret: Option<Secret>,
    /// The secret before it, under which is signed too while receivers change over.
    pub previous_secret: Option<Secret>,
    /// Networks that may be told beside the public ones.
    pub allow: Vec<IpNet>,
    /// Whether `http` URLs may be told too.
    pub allow_http: bool,
    /// How long one attempt may take.
    #[serde(rename = "timeout_s", with = "seconds")]
    pub timeout: Duration,
    /// PEM file of the only certificate authorities trusted, in place of the public ones.
    pub ca_file: Option<PathBuf>,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self {
            secret: None,
            previous_secret: None,
            allow: Vec::new(),
            allow_http: false,
            timeout: Duration::from_secs(15),
            ca_file: None,
        }
    }
}

impl WebhooksConfig {
    /// The secret that signs, and the one before it if there is one; nothing if webhooks are not sent.
    ///
    /// # Errors
    /// One of them is no secret, or there is only the one before.
    pub fn secrets(&self) -> Result<Option<(WebhookSecret, Option<WebhookSecret>)>, String> {
        let read = |secret: &Option<Secret>, name: &str| {
            let secret = secret.as_ref().filter(|secret| !secret.reveal().is_empty());
            let parsed = secret.map(|secret| secret.reveal().parse::<WebhookSecret>()).transpose();
            parsed.map_err(|error| {
                format!("webhooks.{name}: {error}; make one with `echo \"whsec_$(openssl rand -base64 32)\"`")
            })
        };
        match (read(&self.secret, "secret")?, read(&self.previous_secret, "previous_secret")?) {
            (Some(current), previous) => Ok(Some((current, previous))),
            (None, None) => Ok(None),
            (None, Some(_)) => Err("webhooks.previous_secret is set without webhooks.secret".to_owned()),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        // A sender's lease is longer than this, and a stop waits for what is being sent.
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(60) {
            return Err("webhooks.timeout_s must be above 0 and at most 60".to_owned());
        }
        self.secrets().map(drop)
    }
}
