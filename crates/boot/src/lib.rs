//! What the binaries share: files with keys and endpoints, the runner's key, logs, signals, and the wiring of ports.

mod config;
mod endpoints;
mod files;
mod guests;
mod handshake;
mod health;
mod keys;
mod runtime;
mod server;
mod service;
mod signals;
mod telemetry;
mod tls;
mod told;
mod traces;
mod trusted;
mod webhooks;

pub use beacon_providers::{EndpointConfig, EndpointsFile};
pub use beacon_webhooks::Sender as WebhookSender;
pub use config::{
    ApiConfig, ConfigError, DatabaseConfig, DatabaseUrl, LogConfig, Secret, ServiceConfig, TelemetryConfig,
    TlsConfig, WebhooksConfig, WorkerConfig,
};
pub use endpoints::{load_endpoints, parse_toml};
pub use files::{FileError, read_bounded};
pub use guests::Shares;
pub use health::health_routes;
pub use keys::{load_key_ring, load_or_create_runner_key, load_runner_key, load_service_key_ring};
pub use runtime::{
    Access, Place, Runtime, build_backends, describe_endpoints, raise_open_files, receipt_signer,
    runner_public_key,
};
pub use server::serve;
pub use service::{print_config, process_id, refuse, run, run_configured};
pub use signals::{Interrupts, interrupted};
pub use telemetry::{LogFormat, Logs, start_logs};
pub use tls::ServerTls;
pub use told::{harmless, told};
pub use trusted::TrustedKeys;
pub use webhooks::{webhook_policy, webhook_sender};
