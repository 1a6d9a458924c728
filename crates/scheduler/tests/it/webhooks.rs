//! What is told of a job, and when; that nothing is told twice, and nothing is forgotten.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{
    Backlog, Batching, CancelReason, Delivery, DeliveryEnd, DeliveryQueue, DueAsk, JobId, NewDelivery,
    SpecArchive, StoreError,
};
use beacon_scheduler::{Stop, Webhooks};
use beacon_spec::{Region, Timestamp};
use beacon_store::MemoryStore;
use beacon_testkit::SpecBuilder;
use serde_json::Value;

use crate::bench::{Bench, Reply, WARM, answers_after, endpoint};

const BOTH: &[&str] = &["batch.done", "job.ended"];

fn spec(name: &str) -> SpecBuilder {
    SpecBuilder::new(name).questions(&["first", "second", "third"]).regions(&["US", "EU"])
}

fn telling(mut bench: Bench) -> Bench {
    bench.ports.webhooks = Some(Webhooks::new(Arc::clone(&bench.store) as _, Arc::clone(&bench.store) as _));
    bench
}

async fn log(bench: &Bench, job: JobId) -> Vec<Delivery> {
    bench.store.deliveries(job, None, 1000).await.unwrap()
}

/// The ids without the part that all of a job's have.
fn ids(deliveries: &[Delivery]) -> Vec<String> {
    let short = |delivery: &Delivery| delivery.new.id.replace(&format!("msg_{}_", delivery.new.job), "");
    deliveries.iter().map(short).collect()
}

fn body(delivery: &Delivery) -> Value {
    serde_json::from_str(&delivery.new.body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_webhook_is_told_of_what_it_asks_for() {
    let bench = telling(Bench::of_two_regions());
    let spec = spec("told").webhook("https://a.example/", BOTH).webhook("https://b.example/", &[]);
    let job = bench.submit(&spec, Batching::Question).await;

    let ended = bench.run(job).await;

    let log = log(&bench, job).await;
    assert_eq!(ids(&log), ["batch_1_0", "batch_2_0", "batch_3_0", "end_0", "end_1"]);
    assert!(ended.close.is_some());
    let urls: Vec<_> = log.iter().map(|delivery| delivery.new.url.as_str()).collect();
    assert_eq!(urls[2..], ["https://a.example/", "https://a.example/", "https://b.example/"]);
    assert_eq!((log[0].new.event.as_str(), log[3].new.event.as_str()), ("batch.done", "job.ended"));
    let (batch, end) = (body(&log[1]), body(&log[4]));
    assert_eq!((&batch["data"]["number"], &batch["data"]["total"]), (&2.into(), &3.into()));
    assert_eq!(
        (&batch["data"]["counts"]["completed"], &end["data"]["counts"]["completed"]),
        (&2.into(), &6.into())
    );
    let root = ended.close.unwrap().body.merkle_root.to_string();
    assert_eq!((&end["data"]["merkle_root"], &end["data"]["receipts"]), (&root.into(), &6.into()));
    assert_eq!(end["data"]["verdict"], "met");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_told_when_it_is_done_and_not_at_the_end_of_the_job() {
    let bench = telling(Bench::of_two_regions());
    let job = bench.submit(&spec("prompt").webhook("https://a.example/", BOTH), Batching::Question).await;
    let begun = bench.ports.clock.now();

    bench.run(job).await;

    let told = log(&bench, job).await;
    let after: Vec<_> = told.iter().map(|one| one.created_at.duration_since(begun).as_secs_f64()).collect();
    // A question takes a second.
    assert!((1.0..1.1).contains(&after[0]) && (2.0..2.1).contains(&after[1]), "{after:?}");
}

/// Counts what is read, and fails as often as it is told to.
struct Shaky {
    store: Arc<MemoryStore>,
    read: AtomicU32,
    failures: AtomicU32,
    /// Whether what fails is done all the same, as when an answer is lost.
    does: bool,
}

#[async_trait]
impl SpecArchive for Shaky {
    async fn spec_bytes(&self, job: JobId) -> Result<Vec<u8>, StoreError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.store.spec_bytes(job).await
    }
}

#[async_trait]
impl DeliveryQueue for Shaky {
    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<u32, StoreError> {
        let fails =
            self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if !fails || self.does {
            self.store.enqueue(deliveries, now).await?;
        }
        if fails { Err(StoreError::Unavailable { message: "away".to_owned(), source: None }) } else { Ok(0) }
    }

    async fn due(&self, ask: DueAsk) -> Result<Vec<Delivery>, StoreError> {
        self.store.due(ask).await
    }

    async fn delivered(
        &self,
        delivery: &Delivery,
        end: DeliveryEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store.delivered(delivery, end, now).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        self.store.backlog(now).await
    }

    async fn deliveries(
        &self,
        job: JobId,
        after: Option<String>,
        n: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.store.deliveries(job, after, n).await
    }
}

fn shaky(mut bench: Bench, failures: u32, does: bool) -> (Bench, Arc<Shaky>) {
    let store = Arc::clone(&bench.store);
    let shaky = Arc::new(Shaky { store, read: AtomicU32::new(0), failures: AtomicU32::new(failures), does });
    bench.ports.webhooks = Some(Webhooks::new(Arc::clone(&shaky) as _, Arc::clone(&shaky) as _));
    (bench, shaky)
}

/// Works until the job is closed.
async fn closed(bench: &Bench, job: JobId) {
    let stop = Stop::new();
    let closing = async {
        while bench.job(job).await.close.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.drain();
    };
    tokio::join!(bench.work(stop.clone()), closing);
}

// L9: whoever recorded may die before it told; the closing tells what is missing, and nothing twice.
#[tokio::test(start_paused = true)]
async fn what_was_not_told_in_time_is_told_when_the_job_is_closed_and_once() {
    for does in [false, true] {
        // Two batches are not told at once, then the closing fails in its first two rounds.
        let (bench, _) = shaky(Bench::of_two_regions(), 4, does);
        let job = bench.submit(&spec("crash").webhook("https://a.example/", BOTH), Batching::Question).await;

        closed(&bench, job).await;

        let told = ids(&log(&bench, job).await);
        assert_eq!(told, ["batch_1_0", "batch_2_0", "batch_3_0", "end_0"], "{does}");
    }
}

// A process that is killed between recording and telling, and another that takes over.
#[tokio::test(start_paused = true)]
async fn the_next_process_tells_what_a_killed_one_did_not() {
    let mut bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), answers_after(WARM));
    let asks = SpecBuilder::new("killed").questions(&["first", "second"]).webhook("https://a.example/", BOTH);
    let job = bench.submit(&asks, Batching::Question).await;
    // It records the first batch and tells nobody, as one that dies in between.
    let dying = async { tokio::time::timeout(WARM + WARM / 2, bench.work(Stop::new())).await };
    assert!(dying.await.is_err());
    assert_eq!(log(&bench, job).await.len(), 0);

    bench = telling(bench);
    closed(&bench, job).await;

    assert_eq!(ids(&log(&bench, job).await), ["batch_1_0", "batch_2_0", "end_0"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_without_webhooks_is_looked_at_once_and_tells_nothing() {
    let (bench, shaky) = shaky(Bench::of_two_regions(), 0, false);
    let job = bench.submit(&spec("silent"), Batching::Question).await;

    closed(&bench, job).await;

    assert_eq!(shaky.read.load(Ordering::SeqCst), 1);
    assert_eq!(log(&bench, job).await.len(), 0);
}

// S7, L7
#[tokio::test(start_paused = true)]
async fn a_cancel_and_a_deadline_are_told_with_real_numbers() {
    let hangs = |_: &crate::bench::Call| Reply::Hang;
    let bench = telling(Bench::new().endpoint(endpoint(Region::UsEast, "m"), Arc::new(hangs)));
    let spec = |name: &str| {
        let two = SpecBuilder::new(name).questions(&["first", "second"]);
        two.constraint("timeout", 10_000_000_000_u64).webhook("https://a.example/", BOTH)
    };
    let cancelled = bench.submit(&spec("cancelled"), Batching::Question).await;
    let late = bench.submit(&spec("late"), Batching::Question).await;
    let by = CancelReason::By("tester".to_owned());
    bench.ports.jobs.cancel(cancelled, by, bench.ports.clock.now()).await.unwrap();

    closed(&bench, late).await;

    for (job, state, reason) in [(cancelled, "cancelled", "cancel"), (late, "timed_out", "deadline")] {
        let log = log(&bench, job).await;
        assert_eq!(ids(&log), ["batch_1_0", "batch_2_0", "end_0"], "{state}");
        let (batch, end) = (body(&log[0]), body(&log[2]));
        assert_eq!((&end["data"]["state"], &end["data"]["reason"]), (&state.into(), &reason.into()), "{end}");
        assert_eq!(
            (&end["data"]["counts"][state], &batch["data"]["counts"][state]),
            (&2.into(), &1.into()),
            "{end}"
        );
    }
}

/// What is not the same in each run, masked: times and digests.
fn masked(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), masked(member))).collect()
        }
        Value::String(text) if text.parse::<Timestamp>().is_ok() => "TIME".into(),
        Value::String(text) if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            "DIGEST".into()
        }
        other => other.clone(),
    }
}

// docs/SIGNING.md shows what is told, as it is told.
#[tokio::test(start_paused = true)]
async fn the_bodies_of_the_docs_are_those_that_are_told() {
    let text = include_str!("../../../../docs/SIGNING.md");
    let (_, webhooks) = text.split_once("\n## Webhooks\n").unwrap();
    let blocks = webhooks.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown: Vec<Value> = blocks.map(|block| serde_json::from_str(block).unwrap()).collect();
    let shown: Vec<_> = shown.iter().filter(|block| block["type"].is_string()).map(masked).collect();
    let bench = telling(Bench::of_two_regions());
    let job = bench.submit(&spec("shown").webhook("https://a.example/", BOTH), Batching::Question).await;

    bench.run(job).await;

    let told: Vec<_> = log(&bench, job).await.iter().map(|delivery| masked(&body(delivery))).collect();
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0], told[0], "{}", log(&bench, job).await[0].new.body);
    assert_eq!(shown[1], told[3], "{}", log(&bench, job).await[3].new.body);
    let kinds: BTreeSet<_> = told.iter().map(|body| body["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 2);
}
