//! What was asked of the simulator and what it did, in total and per endpoint.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use beacon_domain::EndpointId;
use serde::{Deserialize, Serialize};

/// Counts of one endpoint, or of all. When nothing is held, `calls = executions + rejected + refused`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EndpointStats {
    /// Inference POSTs whose body arrived, accepted or not.
    pub calls: u64,
    /// Calls turned away before any work: 401, 404, 429 and 503.
    pub rejected: u64,
    /// Calls whose input was refused before any work: empty prompt, other model, not JSON.
    pub refused: u64,
    /// Work really started.
    pub executions: u64,
    /// Executions that began with a start-up.
    pub cold_starts: u64,
    /// GETs of a result URL, known or not.
    pub result_url_reads: u64,
    /// 303 answers given.
    pub redirects: u64,
    /// POSTs whose `Idempotency-Key` was among the latest 262,144 of this endpoint. They run again: nothing is
    /// deduplicated.
    pub repeated_keys: u64,
    /// Calls held now: running or queued.
    pub in_flight: u64,
    /// The most calls held at once: running or queued.
    pub max_in_flight: u64,
    /// Calls worked on now.
    pub running: u64,
    /// The most calls worked on at once.
    pub max_running: u64,
    /// Busy time of all containers, start-up included, of ended executions.
    #[serde(rename = "gpu_seconds", with = "as_seconds")]
    pub gpu_time: Duration,
}

/// A duration as a number of seconds. It is summed as a duration, so that the sum does not depend on the order.
mod as_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Everything that `GET /stats` answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SimStats {
    /// Over all endpoints. Its maxima are those of the sum, not the sum of maxima.
    #[serde(flatten)]
    pub total: EndpointStats,
    /// Per endpoint.
    pub endpoints: BTreeMap<EndpointId, EndpointStats>,
}

/// Counts for one endpoint and for the total at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    endpoint: Arc<Mutex<EndpointStats>>,
    total: Arc<Mutex<EndpointStats>>,
}

impl EndpointStats {
    pub(crate) const fn enter(&mut self) {
        self.in_flight += 1;
        if self.in_flight > self.max_in_flight {
            self.max_in_flight = self.in_flight;
        }
    }

    pub(crate) const fn start(&mut self) {
        self.executions += 1;
        self.running += 1;
        if self.running > self.max_running {
            self.max_running = self.running;
        }
    }
}

impl Meter {
    /// A meter for another endpoint under the same total.
    pub(crate) fn sibling(&self) -> Self {
        Self { endpoint: Arc::default(), total: Arc::clone(&self.total) }
    }

    /// Changes both counts in the same way.
    pub(crate) fn record(&self, change: impl Fn(&mut EndpointStats)) {
        change(&mut self.endpoint.lock().unwrap_or_else(PoisonError::into_inner));
        change(&mut self.total.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn endpoint(&self) -> EndpointStats {
        *self.endpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn total(&self) -> EndpointStats {
        *self.total.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
