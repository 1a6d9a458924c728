//! Simulated GPU endpoints: queues, cold starts, latency, result URLs and failures, over HTTP or without sockets.
//! Nothing here computes an answer; every text begins with `[simulated]`.

mod answers;
mod backend;
mod behaviour;
mod calls;
mod config;
mod connection;
mod draw;
mod endpoint;
mod exchange;
mod places;
mod routes;
mod seen_keys;
mod server;
mod simulator;
mod stats;
mod work;

pub use answers::{ANSWER_MARK, answer_text};
pub use backend::SimBackend;
pub use behaviour::{Behaviour, Failures};
pub use config::{ConfigError, SimConfig, SimEndpoint, Warm, WhenFull};
pub use server::{Running, serve, serve_at};
pub use simulator::Simulator;
pub use stats::{EndpointStats, SimStats};
