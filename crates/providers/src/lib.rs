//! Providers: how endpoints are configured, called and probed over HTTP. A provider is a folder and a line in `registry`.

mod backend;
mod client;
mod config;
mod connector;
mod credentials;
mod endpoint;
mod exchange;
mod json;
mod modal;
mod openai;
mod pace;
mod probe;
mod refusal;
mod registry;
mod result_url;
mod retry_after;

pub use config::{
    AccountConfig, AdaptiveConfig, AuthConfig, ConfigError, EndpointConfig, EndpointsFile, HttpVersion,
    MaxTokensField, Provider, TimingConfig,
};
pub use registry::build;
