//! Which workers are there: each writes it down now and then, and whoever asks sees who did lately (A6).

use async_trait::async_trait;
use beacon_spec::{Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{EndpointId, StoreError, WorkerId};

/// Workers that say they are there. Nothing depends on it: leases alone decide who may run what.
#[async_trait]
pub trait Attendance: Send + Sync {
    /// This worker is there now. Workers that were not seen since `forget_before` are forgotten.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn attend(&self, worker: WorkerPresence, forget_before: Timestamp) -> Result<(), StoreError>;

    /// This worker has gone home.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn leave(&self, worker: WorkerId) -> Result<(), StoreError>;

    /// At most `n` workers that were seen at `since` or later, the latest first.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn workers(&self, since: Timestamp, n: u32) -> Result<Vec<WorkerPresence>, StoreError>;
}

/// A worker process, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerPresence {
    /// Its id, which may name its machine. For logs and operators.
    pub worker: WorkerId,
    /// What strangers may see of the id.
    pub label: String,
    /// The program's version.
    pub version: String,
    /// The endpoints that it may call, at most [`WorkerPresence::MAX_ENDPOINTS`].
    pub endpoints: Vec<EndpointId>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it last said so.
    pub seen_at: Timestamp,
}

impl WorkerPresence {
    /// More endpoints of one worker are not written down.
    pub const MAX_ENDPOINTS: usize = 1000;

    /// A worker that starts now.
    #[must_use]
    pub fn new(
        worker: WorkerId,
        version: &str,
        endpoints: impl IntoIterator<Item = EndpointId>,
        now: Timestamp,
    ) -> Self {
        Self {
            label: label(&worker),
            worker,
            version: version.to_owned(),
            endpoints: endpoints.into_iter().take(Self::MAX_ENDPOINTS).collect(),
            started_at: now,
            seen_at: now,
        }
    }
}

/// The role, which the id begins with, and 8 hex digits of the id's SHA-256: no machine's name.
fn label(worker: &WorkerId) -> String {
    let begin = worker.as_str().split_once('-').map_or("", |(role, _)| role);
    let is_role = (1..=16).contains(&begin.len()) && begin.chars().all(|c| c.is_ascii_lowercase());
    let role = if is_role { begin } else { "worker" };
    format!("{role}-{}", &Sha256Digest::of(worker.as_str().as_bytes()).to_string()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_tells_the_role_and_no_machine() {
        let worker = |id: &str| WorkerPresence::new(WorkerId::new(id), "1", [], Timestamp::UNIX_EPOCH).label;

        assert!(worker("worker-secrethost-1-2").starts_with("worker-"));
        assert!(!worker("worker-secrethost-1-2").contains("secrethost"));
        assert_ne!(worker("worker-secrethost-1-2"), worker("worker-secrethost-1-3"));
        assert!(worker("run-1-2").starts_with("run-"));
        assert!(worker("secrethost").starts_with("worker-"));
    }
}
