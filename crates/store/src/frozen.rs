//! What never changes about a job and every lease of it needs. Each database reads it with its own codec.

use std::{sync::Arc, time::Duration};

use beacon_domain::JobId;
use beacon_spec::{ModelId, Question, Sampling, Sha256Digest, Timestamp};

/// A job as it was accepted.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) id: JobId,
    pub(crate) digest: Sha256Digest,
    pub(crate) deadline: Timestamp,
    pub(crate) provider_timeout: Option<Duration>,
    pub(crate) sampling: Sampling,
    pub(crate) models: Vec<ModelId>,
    pub(crate) questions: Vec<Question>,
    pub(crate) trace_id: Arc<str>,
}
