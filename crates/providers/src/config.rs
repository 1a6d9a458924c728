//! The configuration of endpoints, as it stands in TOML, and its checks (C4, O2).

mod validate;

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
    /// HTTP/2 where TLS agrees on it and `limit` is at most 100, the streams that a server should allow at least
    /// (RFC 9113 section 6.5.2); else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
}

/// Names of environment variables that hold credentials; never the credentials. Either both names of Modal's proxy token,
/// or `bearer_env`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "AuthNames")]
pub enum AuthConfig {
    /// Modal's proxy token (<https://modal.com/docs/guide/webhook-proxy-auth>).
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

/// Every name that `auth` may have, so that a wrong mixture can be explained.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthNames {
    modal_key_env: Option<String>,
    modal_secret_env: Option<String>,
    bearer_env: Option<String>,
}

/// Where an OpenAI-compatible server expects the bound on new tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`, which every such server knows.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which OpenAI's reasoning models demand.
    MaxCompletionTokens,
}

/// Bounds of an adapting limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveConfig {
    /// The least; at least 1.
    pub floor: u32,
    /// The most; at most the endpoint's `limit`.
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
    /// Calls in flight; 1 unless given. At most its account's limit and the global one.
    #[serde(default = "one")]
    pub limit: u32,
    /// The highest limit that an operator may set at run time; `limit` unless given.
    #[serde(default)]
    pub max_limit: Option<u32>,
    /// How many seconds it may go on with a call after we left it: by a cancel, a time limit, a lost connection or the end of
    /// a worker. The call counts against every limit until then. 120 unless given for `modal-web`, which cancels the
    /// call of a caller that hung up within two minutes (<https://modal.com/docs/guide/function-invocation-methods>), and 10
    /// for `openai`, whose servers notice it at once unless the caller's machine vanished.
    #[serde(default)]
    pub linger_s: Option<f64>,
    /// The account that pays.
    #[serde(default)]
    pub account: Option<String>,
    /// Whether the first call goes alone; by default only for Modal.
    #[serde(default)]
    pub cold_probe: Option<bool>,
    /// For a limit that adapts: it starts at the floor and never leaves these bounds, nor `limit`.
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
    /// The full URL of the health check. Only `beacon check` asks it.
    #[serde(default)]
    pub health_url: Option<String>,
    /// The full URL of the model list. Only `beacon check` asks it.
    #[serde(default)]
    pub models_url: Option<String>,
    /// The model's name at the server, if it differs.
    #[serde(default)]
    pub upstream_model: Option<String>,
    /// Where the credentials are. They go to the configured URLs and to result URLs on the same origin as
    /// `inference_url`, never elsewhere.
    #[serde(default)]
    pub auth: Option<AuthConfig>,
    /// Name of the field that bounds new tokens; `max_tokens` unless given. Only for `openai`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens_field: Option<MaxTokensField>,
    /// Speak HTTP/2 at once, also without TLS. All calls share one connection, and calls beyond the streams that the
    /// server allows wait in it.
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

impl EndpointConfig {
    /// The id, given or made.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.clone().unwrap_or_else(|| format!("{}/{}", self.region, self.model))
    }

    /// The model's name as the server knows it.
    pub(crate) fn name_at_the_server(&self) -> &str {
        self.upstream_model.as_deref().unwrap_or(self.model.as_str())
    }

    /// The highest limit that it may have.
    pub(crate) fn highest_limit(&self) -> u32 {
        self.max_limit.unwrap_or(self.limit)
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
            max_limit: self.highest_limit(),
            linger: seconds(self.linger_s.unwrap_or(self.provider.linger_s())),
            account: self.account.as_deref().map(AccountId::new),
            cold_probe: self.cold_probe.unwrap_or(self.provider == Provider::ModalWeb),
            adaptive: self.adaptive.map(|adaptive| (adaptive.floor, adaptive.ceiling)),
            price_micros_per_s: self.price_micros_per_s,
            timing: self.timing.map(|t| Timing { cold: seconds(t.cold_s), warm: seconds(t.warm_s) }),
        }
    }
}

impl Provider {
    /// How long an endpoint may go on with a call after we left it, if nobody says.
    const fn linger_s(self) -> f64 {
        match self {
            Self::ModalWeb => 120.0,
            Self::OpenAi => 10.0,
        }
    }
}

impl ConfigError {
    pub(crate) fn new(endpoint: &str, field: &'static str, problem: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), field, problem: problem.to_owned() }
    }
}

impl TryFrom<AuthNames> for AuthConfig {
    type Error = &'static str;

    fn try_from(names: AuthNames) -> Result<Self, Self::Error> {
        match (names.modal_key_env, names.modal_secret_env, names.bearer_env) {
            (Some(modal_key_env), Some(modal_secret_env), None) => {
                Ok(Self::Modal { modal_key_env, modal_secret_env })
            }
            (None, None, Some(bearer_env)) => Ok(Self::Bearer { bearer_env }),
            _ => Err("auth needs modal_key_env and modal_secret_env, or bearer_env alone"),
        }
    }
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
