//! Resume tokens become durable under their lease (C2).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use beacon_domain::{Checkpoint, CheckpointError, Clock, LeaseKey, Monotonic, ResumeToken, WorkQueue};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Ports, live::Held, report::Chain};

const PAUSE: Duration = Duration::from_millis(500);

/// Writes the tokens of one attempt.
pub(crate) struct LeaseCheckpoint {
    queue: Arc<dyn WorkQueue>,
    clock: Arc<dyn Clock>,
    lease: LeaseKey,
    deadline: Monotonic,
    resumable: CancellationToken,
}

impl LeaseCheckpoint {
    /// For one lease, whose attempt ends at `deadline`.
    pub(crate) fn new(ports: &Ports, lease: LeaseKey, deadline: Monotonic, held: &Held) -> Self {
        let resumable = held.resumable.clone();
        Self { queue: Arc::clone(&ports.queue), clock: Arc::clone(&ports.clock), lease, deadline, resumable }
    }
}

#[async_trait]
impl Checkpoint for LeaseCheckpoint {
    /// The call is running and paid for, so a store that fails for a while is waited for, as when recording.
    async fn save(&self, token: ResumeToken) -> Result<(), CheckpointError> {
        loop {
            let error = match self.queue.checkpoint(self.lease, token.clone()).await {
                Ok(true) => {
                    self.resumable.cancel();
                    return Ok(());
                }
                Ok(false) => return Err(CheckpointError::Lost),
                Err(error) => error,
            };
            let again = self.clock.monotonic() + PAUSE;
            if again >= self.deadline {
                return Err(CheckpointError::Store(error.to_string()));
            }
            warn!(
                job = %self.lease.execution.job, execution = %self.lease.execution,
                "cannot store where the call can be found again, trying again in {PAUSE:?}: {}", Chain(&error)
            );
            self.clock.sleep_until(again).await;
        }
    }
}
