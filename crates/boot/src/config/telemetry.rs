//! Settings of what is told to an OpenTelemetry collector.

use http::Uri;
use serde::{Deserialize, Serialize};

/// Where OTLP over HTTP is received, below the endpoint (the specification's section on exporters).
const TRACES: &str = "/v1/traces";

/// Which spans go where. Without an endpoint there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// The base URL of a collector that takes OTLP over HTTP, such as `http://collector:4318`.
    pub otlp_endpoint: Option<String>,
    /// Which part of all traces is exported, 0 to 1; the same ones by every process.
    pub sample_ratio: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 1.0 }
    }
}

impl TelemetryConfig {
    /// Where spans are sent, if they are.
    pub(crate) fn traces_url(&self) -> Option<String> {
        let endpoint = self.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty())?;
        Some(format!("{}{TRACES}", endpoint.trim_end_matches('/')))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err("telemetry.sample_ratio must be from 0 to 1".to_owned());
        }
        let is_url = |url: &String| {
            url.parse::<Uri>().is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri.host().is_some()
                    && uri.query().is_none()
            })
        };
        match self.traces_url() {
            // An address may hold a secret and is not repeated.
            Some(url) if !is_url(&url) || url.contains('@') => {
                Err("telemetry.otlp_endpoint must be a URL such as http://collector:4318, without a password"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }
}
