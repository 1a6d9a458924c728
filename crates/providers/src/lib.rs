//! Providers: how endpoints are configured, called and probed over HTTP. A provider is a folder and a line in `registry`.

mod client;
mod config;
mod exchange;
mod location;
mod modal;
mod openai;
mod probe;
mod registry;

pub use config::{
    AccountConfig, AdaptiveConfig, AuthConfig, ConfigError, EndpointConfig, EndpointsFile, HttpVersion,
    Provider, TimingConfig,
};
pub use registry::build;
