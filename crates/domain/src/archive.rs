//! The exact bytes that were signed.

use async_trait::async_trait;

use crate::{JobId, StoreError};

/// Accepted specs, as they arrived (P1).
#[async_trait]
pub trait SpecArchive: Send + Sync {
    /// The bytes of this job, whose SHA-256 is [`crate::JobSummary::spec_digest`].
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`].
    async fn spec_bytes(&self, job: JobId) -> Result<Vec<u8>, StoreError>;
}
