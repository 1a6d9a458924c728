//! Settings of the API.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use beacon_domain::{Batching, seconds};
use http::{HeaderValue, Uri};
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
    /// Whoever shows it may do everything, beside the tokens of the database. At least 32 characters.
    pub operator_token: Option<Secret>,
    /// Whether reads need a token.
    pub require_token_to_read: bool,
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
    /// Origins of pages that may call from a browser, such as `https://portal.example`.
    pub cors_origins: Vec<String>,
    /// Requests a second of one address, and ten times as many at once; 0 for no limit.
    pub address_rate_per_s: u32,
    /// Signed jobs and requests a second of one key, and ten times as many at once; 0 for no limit.
    pub key_rate_per_s: u32,
    /// Tokens a minute from one address that have to be looked up; 0 for no limit.
    pub token_lookups_per_minute: u32,
    /// Connections at once of one address, of the 4096 that there may be; 0 for no limit.
    pub connections_per_address: u32,
    /// Proxies whose `x-forwarded-for` is believed.
    pub proxies: Vec<IpAddr>,
    /// How long a request may take until its answer begins.
    #[serde(rename = "request_s", with = "seconds")]
    pub request: Duration,
    /// The certificate to serve with; without it the API speaks plain HTTP.
    pub tls: Option<TlsConfig>,
}

/// The files of TLS. Both are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate and those between it and its authority, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            keys: "keys.json".into(),
            operator_token: None,
            require_token_to_read: false,
            batching: Batching::default(),
            job: Duration::from_secs(24 * 3600),
            freshness: Duration::from_secs(600),
            max_body_bytes: 16 * 1024 * 1024,
            cors_origins: Vec::new(),
            address_rate_per_s: 200,
            key_rate_per_s: 100,
            token_lookups_per_minute: 60,
            connections_per_address: 256,
            proxies: Vec::new(),
            request: Duration::from_secs(30),
            tls: None,
        }
    }
}

impl ApiConfig {
    /// The origins as headers name them.
    ///
    /// # Errors
    /// One of them is no origin: a scheme and a host, with a port if it needs one, and nothing behind them.
    pub fn origins(&self) -> anyhow::Result<Vec<HeaderValue>> {
        self.cors_origins.iter().map(|origin| parse(origin)).collect()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let weak = |token: &Secret| token.reveal().len() < 32;
        if self.operator_token.as_ref().is_some_and(weak) {
            return Err(
                "api.operator_token is shorter than 32 characters; make one with `openssl rand -hex 32`"
                    .into(),
            );
        }
        self.origins().map(|_| ()).map_err(|error| error.to_string())
    }
}

fn parse(origin: &str) -> anyhow::Result<HeaderValue> {
    let is_origin = origin.parse::<Uri>().is_ok_and(|uri| {
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
        let whole = scheme.zip(uri.authority()).map(|(scheme, authority)| format!("{scheme}://{authority}"));
        whole.as_deref() == Some(origin)
    });
    anyhow::ensure!(
        is_origin,
        "api.cors_origins: {origin:?} is no origin; write scheme and host alone, as in \"https://portal.example\""
    );
    Ok(HeaderValue::from_str(origin)?)
}
