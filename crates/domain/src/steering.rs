//! Steering a job that runs: pause and resume.

use async_trait::async_trait;
use beacon_spec::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{JobId, JobState, StoreError};

/// Pauses and resumes jobs. A paused job keeps its state and gives nothing to claims; calls in flight go on and are
/// recorded, and its deadline comes as if it were not paused.
#[async_trait]
pub trait JobSteering: Send + Sync {
    /// From when this returns until a resume, nothing of the job is claimed. Pausing a paused job changes nothing.
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`].
    async fn pause(&self, job: JobId, by: String, now: Timestamp) -> Result<Steered, StoreError>;

    /// Lets the job go on.
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`].
    async fn resume(&self, job: JobId, now: Timestamp) -> Result<Steered, StoreError>;
}

/// By whom a job was paused, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// A person or a service, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// How a job stands after a pause or a resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steered {
    /// Whether anything changed. An ended job is neither paused nor resumed.
    pub changed: bool,
    /// The job's state, which does not depend on it.
    pub state: JobState,
    /// Its pause, if it is paused now.
    pub paused: Option<Paused>,
}
