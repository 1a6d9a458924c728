//! What is recorded of every execution, and that nothing is lost (L1, L2, L6, L8, S12).

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use beacon_domain::{
    Accepted, Batching, Claim, Claimed, JobState, LeaseKey, Parting, Reaped, RecordReport, Recording,
    Renewed, ResumeToken, StoreError, Timing, WorkQueue,
};
use beacon_scheduler::{PlanOptions, Stop, Submission, Unserved, plan, submit};
use beacon_spec::{MerkleRoot, Region, Timestamp};
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, WARM, answers_after, endpoint};

// L1, L8
#[tokio::test(start_paused = true)]
async fn every_record_carries_its_question_and_model_and_a_receipt_under_the_close() {
    let bench = Bench::of_two_regions();
    let spec = SpecBuilder::new("records").question_count(3).regions(&["US", "EU"]).runs(2);
    let job = bench.submit(&spec, Batching::Question).await;

    let ended = bench.run(job).await;

    let records = bench.records(job).await;
    assert_eq!((records.len(), bench.seen().len()), (12, 12), "no row without a call, no call without a row");
    let mut root = MerkleRoot::new();
    for record in &records {
        let receipt = record.receipt.as_ref().unwrap();
        let cell = &record.cell;
        let body = &receipt.body;
        assert_eq!((&body.question, &body.model, body.region), (&cell.question, &cell.model, cell.region));
        assert_eq!((body.run, body.spec_digest), (cell.run, ended.spec_digest));
        assert_eq!(record.answer.as_ref().unwrap().text, format!("answer to {}", record.prompt));
        assert_eq!(receipt.verify(), Ok(()));
        root.push(receipt.hash());
    }
    let close = ended.close.unwrap();
    assert_eq!((close.verify(), close.body.receipts, close.body.expected), (Ok(()), 12, 12));
    assert_eq!(close.body.merkle_root, root.root());
}

// L6
#[tokio::test(start_paused = true)]
async fn time_stamps_are_in_order_and_queue_time_is_apart() {
    let bench = Bench::of_two_regions();
    let spec = SpecBuilder::new("times").question_count(4).regions(&["US", "EU"]);
    let job = bench.submit(&spec, Batching::Endpoint).await;

    let ended = bench.run(job).await;

    for record in bench.records(job).await {
        let attempt = &record.attempts[0];
        assert!(ended.accepted_at <= attempt.queued_at);
        assert!(attempt.queued_at <= attempt.dispatched_at);
        assert!(attempt.dispatched_at < attempt.finished_at);
        assert_eq!(attempt.duration, WARM);
    }
    assert!(ended.started_at <= ended.ended_at);
}

// S12
#[tokio::test(start_paused = true)]
async fn the_makespan_stands_beside_its_lower_bound() {
    let mut info = endpoint(Region::UsEast, "m");
    info.timing = Some(Timing { cold: std::time::Duration::ZERO, warm: WARM });
    let bench = Bench::new().endpoint(info, answers_after(WARM));
    let job = bench.submit(&SpecBuilder::new("bound").question_count(5), Batching::Question).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.lower_bound, Some(WARM * 5));
    assert_eq!(ended.makespan(), Some(WARM * 5));
}

/// A queue whose store takes no outcome.
struct Down(Arc<dyn WorkQueue>);

#[async_trait]
impl WorkQueue for Down {
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.0.claim(claim).await
    }

    async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        lease: std::time::Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError> {
        self.0.renew(leases, lease, now).await
    }

    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError> {
        self.0.checkpoint(lease, token).await
    }

    async fn record(&self, _: Vec<Recording>, _: Timestamp) -> Result<RecordReport, StoreError> {
        Err(Flaky::down())
    }

    async fn give_back(
        &self,
        leases: Vec<LeaseKey>,
        parting: Parting,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        self.0.give_back(leases, parting, now).await
    }

    async fn reap(&self, n: u32, now: Timestamp) -> Result<Reaped, StoreError> {
        self.0.reap(n, now).await
    }
}

/// A queue whose store is down for a while: some records fail, some were written but not acknowledged.
struct Flaky {
    inner: Arc<dyn WorkQueue>,
    calls: AtomicU32,
}

impl Flaky {
    fn down() -> StoreError {
        StoreError::Unavailable { message: "the store is down".to_owned(), source: None }
    }
}

#[async_trait]
impl WorkQueue for Flaky {
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            return Err(Self::down());
        }
        self.inner.claim(claim).await
    }

    async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        lease: std::time::Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError> {
        self.inner.renew(leases, lease, now).await
    }

    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError> {
        self.inner.checkpoint(lease, token).await
    }

    async fn record(&self, recordings: Vec<Recording>, now: Timestamp) -> Result<RecordReport, StoreError> {
        match self.calls.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => Err(Self::down()),
            1 => {
                // The commit went through; its answer did not.
                self.inner.record(recordings, now).await?;
                Err(Self::down())
            }
            _ => self.inner.record(recordings, now).await,
        }
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

// L9
#[tokio::test(start_paused = true)]
async fn a_store_that_fails_now_and_then_loses_nothing_and_repeats_no_call() {
    let mut bench = Bench::of_two_regions();
    bench.ports.queue = Arc::new(Flaky { inner: Arc::clone(&bench.ports.queue), calls: AtomicU32::new(0) });
    let spec = SpecBuilder::new("flaky").question_count(10).regions(&["US", "EU"]);
    let job = bench.submit(&spec, Batching::Question).await;

    let ended = bench.run(job).await;

    assert_eq!((ended.state, ended.counts.completed), (JobState::Completed, 20));
    assert_eq!(bench.seen().len(), 20);
    assert!(bench.records(job).await.iter().all(|record| record.attempts.len() == 1));
}

// L9
#[tokio::test(start_paused = true)]
async fn a_store_that_stays_down_is_given_up_after_a_while_and_never_before() {
    let mut bench = Bench::of_two_regions();
    let working = bench.ports.clone();
    bench.ports.queue = Arc::new(Down(Arc::clone(&bench.ports.queue)));
    bench.options.store_patience = Some(std::time::Duration::from_secs(60));
    let job = bench.submit(&SpecBuilder::new("down").regions(&["US", "EU"]), Batching::Question).await;

    let given_up = bench.scheduler("w").run_job(job, Stop::new()).await;

    assert!(matches!(given_up, Err(StoreError::Unavailable { .. })), "{given_up:?}");
    assert!((61..70).contains(&bench.now().as_secs()), "{:?}", bench.now());
    assert_eq!(bench.seen().len(), 2, "nothing was called meanwhile");
    bench.ports = working;
    assert_eq!(bench.run(job).await.state, JobState::Completed);
}

// L2, S9
#[tokio::test(start_paused = true)]
async fn a_cell_that_nobody_serves_is_never_called_and_never_failed() {
    let bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), answers_after(WARM));
    let spec = SpecBuilder::new("nobody").models(&["m", "nobody"]).verified();
    let accept = PlanOptions { unserved: Unserved::Accept, ..PlanOptions::default() };
    let catalog = bench.catalog();
    let plan = plan(spec.spec(), &catalog, &accept).unwrap();
    let submission = Submission { generation: 0, retry_of: None, weight: 1, nonce_must_be_new: false };
    let accepted = submit(&bench.ports, &bench.options, &catalog, (spec, plan), submission).await;
    let Accepted::New(job) = accepted.unwrap() else { panic!("the job is new") };

    let ended = bench.run(job).await;

    assert_eq!((ended.state, ended.counts.unsupported), (JobState::Completed, 1));
    assert_eq!(bench.seen().len(), 1);
}
