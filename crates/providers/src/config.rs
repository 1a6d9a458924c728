//! The configuration of endpoints, as it stands in TOML, and its checks (C4, O2).

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use beacon_domain::{AccountId, EndpointId, EndpointInfo, Timing};
use beacon_spec::{ModelId, Region};
use serde::{Deserialize, Deserializer, Serialize};

/// Everything about endpoints: `[accounts.<name>]`, `global_limit` and `[[endpoint]]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointsFile {
    /// Accounts whose endpoints share a limit.
    #[serde(default)]
    pub accounts: BTreeMap<String, AccountConfig>,
    /// Calls in flight over all endpoints, if bounded.
    #[serde(default)]
    pub global_limit: Option<u32>,
    /// The endpoints.
    #[serde(default)]
    pub endpoint: Vec<EndpointConfig>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// Calls in flight over all its endpoints.
    pub limit: u32,
}

/// Which protocol an endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// A Modal web function or server with Beacon's request and answer.
    ModalWeb,
    /// Chat completions as OpenAI defines them.
    #[serde(rename = "openai")]
    OpenAi,
}

/// Which HTTP version is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpVersion {
    /// HTTP/2 where TLS agrees on it, else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
}

/// Names of environment variables that hold credentials; never the credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum AuthConfig {
    /// Modal's proxy token.
    Modal {
        /// Holds the token id (`wk-…`).
        modal_key_env: String,
        /// Holds the token secret (`ws-…`).
        modal_secret_env: String,
    },
    /// A bearer token.
    Bearer {
        /// Holds the token.
        bearer_env: String,
    },
}

/// Bounds of an adapting limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveConfig {
    /// The least.
    pub floor: u32,
    /// The most.
    pub ceiling: u32,
}

/// What an operator expects, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingConfig {
    /// Start-up before the first answer.
    pub cold_s: f64,
    /// One answer when warm.
    pub warm_s: f64,
}

/// One endpoint: one model in one region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// Defaults to `<region>/<model>`.
    #[serde(default)]
    pub id: Option<String>,
    /// The protocol.
    pub provider: Provider,
    /// The model's id in specs.
    pub model: ModelId,
    /// The region; aliases are resolved.
    #[serde(deserialize_with = "region")]
    pub region: Region,
    /// Calls in flight; 1 unless given.
    #[serde(default = "one")]
    pub limit: u32,
    /// The account that pays.
    #[serde(default)]
    pub account: Option<String>,
    /// Whether the first call goes alone; by default only for Modal.
    #[serde(default)]
    pub cold_probe: Option<bool>,
    /// For a limit that adapts.
    #[serde(default)]
    pub adaptive: Option<AdaptiveConfig>,
    /// Millionths of a dollar per second that the provider reports.
    #[serde(default)]
    pub price_micros_per_s: u64,
    /// Estimates for the plan.
    #[serde(default)]
    pub timing: Option<TimingConfig>,
    /// The full URL that gets the POST; nothing is added to it (C4).
    pub inference_url: String,
    /// The full URL of the health check.
    #[serde(default)]
    pub health_url: Option<String>,
    /// The full URL of the model list.
    #[serde(default)]
    pub models_url: Option<String>,
    /// The model's name at the server, if it differs.
    #[serde(default)]
    pub upstream_model: Option<String>,
    /// Where the credentials are.
    #[serde(default)]
    pub auth: Option<AuthConfig>,
    /// Speak HTTP/2 at once, also without TLS.
    #[serde(default)]
    pub http2_prior_knowledge: bool,
    /// The HTTP version.
    #[serde(default)]
    pub http_version: HttpVersion,
    /// Whether the provider queues calls; false for Modal servers, whose 503 says that nothing began.
    #[serde(default = "yes")]
    pub provider_queues: bool,
    /// PEM file of the only authorities trusted, in place of the public ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The longest answer body; 8 MiB unless given.
    #[serde(default = "eight_mib")]
    pub max_answer_bytes: usize,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("endpoint {endpoint}, field {field}: {problem}")]
pub struct ConfigError {
    /// The endpoint's id, or the account or file part concerned.
    pub endpoint: String,
    /// The field.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

impl EndpointsFile {
    /// Checks everything that needs no environment.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.global_limit == Some(0) {
            return Err(ConfigError::new(
                "(all)",
                "global_limit",
                "must be at least 1; leave it out for no limit",
            ));
        }
        for (name, account) in &self.accounts {
            if account.limit == 0 {
                return Err(ConfigError::new(&format!("(account {name})"), "limit", "must be at least 1"));
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for endpoint in &self.endpoint {
            let id = endpoint.id();
            if !seen.insert(id.clone()) {
                return Err(ConfigError::new(&id, "id", "is used twice; give each endpoint its own id"));
            }
            endpoint.validate()?;
            if let Some(account) = endpoint.account.as_ref().filter(|name| !self.accounts.contains_key(*name))
            {
                let problem = format!("no account {account:?}; add [accounts.{account}] with a limit");
                return Err(ConfigError::new(&id, "account", &problem));
            }
        }
        Ok(())
    }
}

impl EndpointConfig {
    /// The id, given or made.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.clone().unwrap_or_else(|| format!("{}/{}", self.region, self.model))
    }

    /// What plan and limits need.
    #[must_use]
    pub fn info(&self) -> EndpointInfo {
        let seconds = |s| Duration::try_from_secs_f64(s).unwrap_or_default();
        EndpointInfo {
            id: EndpointId::new(self.id()),
            model: self.model.clone(),
            region: self.region,
            limit: self.limit,
            account: self.account.as_deref().map(AccountId::new),
            cold_probe: self.cold_probe.unwrap_or(self.provider == Provider::ModalWeb),
            adaptive: self.adaptive.map(|adaptive| (adaptive.floor, adaptive.ceiling)),
            price_micros_per_s: self.price_micros_per_s,
            timing: self.timing.map(|t| Timing { cold: seconds(t.cold_s), warm: seconds(t.warm_s) }),
        }
    }

    /// Checks the fields by themselves.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let fail = |field, problem: &str| Err(ConfigError::new(&self.id(), field, problem));
        if self.id.as_deref() == Some("") {
            return fail("id", "is empty; leave it out for <region>/<model>");
        }
        if self.limit == 0 {
            return fail("limit", "must be at least 1; remove the endpoint to stop using it");
        }
        if self.adaptive.is_some_and(|a| a.floor == 0 || a.floor > a.ceiling) {
            return fail("adaptive", "needs 1 <= floor <= ceiling");
        }
        if self
            .timing
            .is_some_and(|t| [t.cold_s, t.warm_s].iter().any(|&s| Duration::try_from_secs_f64(s).is_err()))
        {
            return fail("timing", "must be finite seconds, not below 0");
        }
        if self.max_answer_bytes == 0 {
            return fail("max_answer_bytes", "must be at least 1; leave it out for 8 MiB");
        }
        if self.http2_prior_knowledge && self.http_version == HttpVersion::Http1 {
            return fail("http2_prior_knowledge", "contradicts http_version = \"http1\"; remove one");
        }
        if self.upstream_model.as_deref() == Some("") {
            return fail("upstream_model", "is empty; leave it out to send the model's id");
        }
        let urls = [
            ("inference_url", Some(&self.inference_url)),
            ("health_url", self.health_url.as_ref()),
            ("models_url", self.models_url.as_ref()),
        ];
        for (field, url) in urls {
            if url.is_some_and(|url| !is_usable(url)) {
                return fail(field, "must be a full http:// or https:// URL without user name or fragment");
            }
        }
        Ok(())
    }
}

impl ConfigError {
    pub(crate) fn new(endpoint: &str, field: &'static str, problem: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), field, problem: problem.to_owned() }
    }
}

fn is_usable(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && !url.contains('#')
    })
}

fn region<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

const fn one() -> u32 {
    1
}

const fn yes() -> bool {
    true
}

const fn eight_mib() -> usize {
    8 * 1024 * 1024
}
