//! Simulated GPU endpoints: queues, cold starts, latency, result URLs and failures, over HTTP or without sockets.
//! Nothing here computes an answer; every text begins with `[simulated]`.

mod answers;
mod backend;
mod calls;
mod config;
mod draw;
mod model;
mod routes;
mod server;
mod simulator;
mod stats;

pub use answers::{ANSWER_MARK, answer_text};
pub use backend::SimBackend;
pub use config::{Behaviour, ConfigError, Failures, SimConfig, SimEndpoint, Warm, WhenFull};
pub use server::{Running, serve, serve_at};
pub use simulator::Simulator;
pub use stats::{EndpointStats, SimStats};
