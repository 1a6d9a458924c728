//! What the handlers work with.

use std::{sync::Arc, time::Duration};

use beacon_domain::{Batching, Clock, JobStore, JobView};
use beacon_scheduler::EndpointCatalog;
use beacon_spec::{Freshness, KeySource};

use crate::OperatorToken;

/// The parts of an API behind their ports.
pub struct Api {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Accepting and ending jobs.
    pub jobs: Arc<dyn JobStore>,
    /// Reading.
    pub view: Arc<dyn JobView>,
    /// Whose jobs are taken.
    pub keys: Arc<dyn KeySource + Send + Sync>,
    /// What can be planned.
    pub catalog: EndpointCatalog,
    /// Who may steer jobs of others; nobody without it.
    pub operator: Option<OperatorToken>,
    /// How questions follow each other.
    pub batching: Batching,
    /// Bounds.
    pub limits: ApiLimits,
}

/// Bounds of requests and jobs.
#[derive(Debug, Clone, Copy)]
pub struct ApiLimits {
    /// The longest body, in bytes.
    pub max_body_bytes: usize,
    /// How long a request may take.
    pub request: Duration,
    /// A job's time limit when its spec gives none.
    pub job: Duration,
    /// How old a signature may be.
    pub max_age: Duration,
}

/// How far ahead a signer's clock may be.
const MAX_SKEW: Duration = Duration::from_secs(300);

impl Api {
    pub(crate) const fn freshness(&self) -> Freshness {
        Freshness::Window { max_age: self.limits.max_age, max_skew: MAX_SKEW }
    }
}
