//! A store whose answers are late: what was leased may be somebody else's by then (S1, L3).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{
    Batching, Claim, Claimed, JobState, LeaseKey, Parting, Reaped, RecordReport, Recording, Renewed,
    ResumeToken, StoreError, WorkQueue,
};
use beacon_spec::{Region, Timestamp};
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, WARM, answers_after, endpoint};

/// The answer to the first claim takes this long.
const LATE: Duration = Duration::from_secs(40);

/// A queue whose first leases arrive late.
struct Late {
    inner: Arc<dyn WorkQueue>,
    was_late: AtomicBool,
}

#[async_trait]
impl WorkQueue for Late {
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        let claimed = self.inner.claim(claim).await?;
        if !claimed.leases.is_empty() && !self.was_late.swap(true, Ordering::Relaxed) {
            tokio::time::sleep(LATE).await;
        }
        Ok(claimed)
    }

    async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError> {
        self.inner.renew(leases, lease, now).await
    }

    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError> {
        self.inner.checkpoint(lease, token).await
    }

    async fn record(&self, recordings: Vec<Recording>, now: Timestamp) -> Result<RecordReport, StoreError> {
        self.inner.record(recordings, now).await
    }

    async fn give_back(
        &self,
        leases: Vec<LeaseKey>,
        parting: Parting,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        self.inner.give_back(leases, parting, now).await
    }

    async fn reap(&self, n: u32, now: Timestamp) -> Result<Reaped, StoreError> {
        self.inner.reap(n, now).await
    }
}

// S1, L3
#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_on_its_way_is_not_called_under() {
    let mut bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), answers_after(WARM));
    assert!(bench.options.lease < LATE);
    let inner = Arc::clone(&bench.ports.queue);
    bench.ports.queue = Arc::new(Late { inner, was_late: AtomicBool::new(false) });
    let job = bench.submit(&SpecBuilder::new("late"), Batching::Question).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    let seen = bench.seen();
    assert_eq!(seen.len(), 1, "one call, under the second lease");
    assert!(seen[0].at >= LATE);
}
