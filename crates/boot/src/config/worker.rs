//! Settings of a worker.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use beacon_domain::seconds;
use serde::{Deserialize, Serialize};

/// What a worker does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Ids of the endpoints that this worker may call; all of the endpoints file unless given.
    pub serves: Option<Vec<String>>,
    /// The secret key that signs receipts; the file must be there.
    pub runner_key: PathBuf,
    /// Calls in flight in this process.
    pub slots: u32,
    /// How long a lease lasts without a heartbeat.
    #[serde(rename = "lease_s", with = "seconds")]
    pub lease: Duration,
    /// How long calls in flight may go on after SIGTERM.
    #[serde(rename = "grace_s", with = "seconds")]
    pub grace: Duration,
    /// How long an endpoint stays warm without calls.
    #[serde(rename = "warm_s", with = "seconds")]
    pub warm: Duration,
    /// The longest attempt.
    #[serde(rename = "attempt_s", with = "seconds")]
    pub attempt: Duration,
    /// The longest execution, with all its attempts.
    #[serde(rename = "execution_s", with = "seconds")]
    pub execution: Duration,
    /// How long an endpoint that no call reaches is waited for, before executions fail by it.
    #[serde(rename = "unreachable_s", with = "seconds")]
    pub unreachable: Duration,
    /// The most that may be spent per UTC day over all workers, in millionths of a dollar.
    pub day_budget_micros: Option<u64>,
    /// Where health is told.
    pub health: SocketAddr,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            serves: None,
            runner_key: "runner.key".into(),
            slots: 256,
            lease: Duration::from_secs(30),
            grace: Duration::from_secs(25),
            warm: Duration::from_secs(120),
            attempt: Duration::from_secs(900),
            execution: Duration::from_secs(6 * 3600),
            unreachable: Duration::from_secs(600),
            day_budget_micros: None,
            health: ([127, 0, 0, 1], 8081).into(),
        }
    }
}

impl WorkerConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.slots == 0 {
            return Err("worker.slots must be at least 1".to_owned());
        }
        if self.lease < Duration::from_secs(1) {
            return Err("worker.lease_s must be at least 1, or heartbeats come too late".to_owned());
        }
        if self.attempt >= self.execution {
            return Err("worker.attempt_s must be shorter than worker.execution_s".to_owned());
        }
        Ok(())
    }
}
