//! A job is looked after also while the store cannot be read (L9).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{
    Batching, ExecutionRecord, Failure, JobFilter, JobId, JobState, JobSummary, JobView, Matrix, Page,
    Progress, StoreError,
};
use beacon_scheduler::Stop;
use beacon_spec::Timestamp;
use beacon_testkit::SpecBuilder;

use crate::bench::Bench;

/// A view that fails for the first looks.
struct Away {
    inner: Arc<dyn JobView>,
    failing: AtomicU32,
}

impl Away {
    fn looks(&self) -> Result<&dyn JobView, StoreError> {
        let left =
            self.failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(StoreError::Unavailable {
                message: "the store is starting up".to_owned(),
                source: None,
            });
        }
        Ok(self.inner.as_ref())
    }
}

#[async_trait]
impl JobView for Away {
    async fn job(&self, job: JobId) -> Result<Option<JobSummary>, StoreError> {
        self.looks()?.job(job).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobSummary>, StoreError> {
        self.looks()?.jobs(filter).await
    }

    async fn matrix(&self, job: JobId) -> Result<Matrix, StoreError> {
        self.looks()?.matrix(job).await
    }

    async fn records(
        &self,
        job: JobId,
        after: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.looks()?.records(job, after, limit).await
    }

    async fn progress(&self, job: JobId, now: Timestamp) -> Result<Progress, StoreError> {
        self.looks()?.progress(job, now).await
    }

    async fn failures(&self, job: JobId) -> Result<Vec<Failure>, StoreError> {
        self.looks()?.failures(job).await
    }
}

fn away_for(looks: u32) -> (Bench, Arc<dyn JobView>) {
    let mut bench = Bench::of_two_regions();
    let working = Arc::clone(&bench.ports.view);
    bench.ports.view = Arc::new(Away { inner: Arc::clone(&working), failing: AtomicU32::new(looks) });
    bench.options.store_patience = Some(Duration::from_secs(60));
    (bench, working)
}

// L9
#[tokio::test(start_paused = true)]
async fn a_store_that_restarts_does_not_end_the_run() {
    let (bench, _) = away_for(20);
    let job = bench.submit(&SpecBuilder::new("restart").regions(&["US", "EU"]), Batching::Question).await;

    let ended = bench.scheduler("w").run_job(job, Stop::new()).await.unwrap();

    assert_eq!((ended.state, ended.counts.completed), (JobState::Completed, 2));
}

// L9
#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_given_up_after_patience() {
    let (bench, working) = away_for(u32::MAX);
    let job = bench.submit(&SpecBuilder::new("gone").regions(&["US", "EU"]), Batching::Question).await;

    let given_up = bench.scheduler("w").run_job(job, Stop::new()).await;

    assert!(matches!(given_up, Err(StoreError::Unavailable { .. })), "{given_up:?}");
    assert!((60..70).contains(&bench.now().as_secs()), "{:?}", bench.now());
    let counts = working.job(job).await.unwrap().unwrap().counts;
    assert_eq!(counts.completed, 2, "what was answered meanwhile is recorded");
}
