//! How jobs run, over the memory store and endpoints made of functions. The store has threads of its own, so time is
//! real and short here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use beacon_domain::{
    Accepted, Answer, Backend, Batching, CallError, CallRequest, CancelReason, EndpointId, EndpointInfo,
    ErrorCode, ExecutionRecord, JobId, JobState, JobSummary, Stage, SystemClock, WorkerId,
};
use beacon_scheduler::{
    EndpointCatalog, FunctionBackend, PlanOptions, Ports, RetryPolicy, Scheduler, SchedulerOptions, Stop,
    Submission, plan, submit,
};
use beacon_spec::{ModelId, ReceiptSigner, Region};
use beacon_store::MemoryStore;
use beacon_testkit::{test_key, verified_spec};
use tokio::time::sleep;

const WARM: Duration = Duration::from_millis(5);

/// What the endpoints saw.
#[derive(Default)]
struct Seen {
    calls: Vec<(String, Region)>,
    in_flight: HashMap<Region, u32>,
    most: u32,
}

fn answer(request: &CallRequest) -> Answer {
    Answer::of_text(format!("answer to {}", request.prompt))
}

fn info(region: Region) -> EndpointInfo {
    EndpointInfo {
        id: EndpointId::new(region.as_str()),
        model: ModelId::new("m").unwrap(),
        region,
        limit: 1,
        account: None,
        cold_probe: true,
        adaptive: None,
        price_micros_per_s: 0,
        timing: None,
    }
}

/// Endpoints that take a moment; in us-east the first `failing` calls lose their connection.
fn backends(seen: &Arc<Mutex<Seen>>, failing: usize) -> Vec<Arc<dyn Backend>> {
    let one = |region: Region| {
        let seen = Arc::clone(seen);
        let backend = FunctionBackend::new(info(region), move |request, _| {
            let seen = Arc::clone(&seen);
            async move {
                let call = {
                    let mut seen = seen.lock().unwrap();
                    seen.calls.push((request.prompt.to_string(), request.region));
                    let now = *seen.in_flight.entry(request.region).and_modify(|n| *n += 1).or_insert(1);
                    seen.most = seen.most.max(now);
                    seen.calls.iter().filter(|(_, region)| *region == request.region).count()
                };
                sleep(WARM).await;
                *seen.lock().unwrap().in_flight.get_mut(&request.region).unwrap() -= 1;
                if request.region == Region::UsEast && call <= failing {
                    return Err(CallError::new(ErrorCode::ConnectionLost, Stage::Request, "cut"));
                }
                Ok(answer(&request))
            }
        });
        Arc::new(backend) as Arc<dyn Backend>
    };
    vec![one(Region::UsEast), one(Region::EuWest)]
}

struct Bench {
    ports: Ports,
    job: JobId,
    seen: Arc<Mutex<Seen>>,
}

/// A job of two questions, one model and two regions, accepted.
async fn bench(batching: Batching, failing: usize) -> Bench {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let store = Arc::new(MemoryStore::new());
    let ports = Ports {
        clock: Arc::new(SystemClock::new()),
        jobs: Arc::clone(&store) as _,
        queue: Arc::clone(&store) as _,
        wakeups: store.wakeups(),
        view: store,
        backends: backends(&seen, failing),
        signer: Arc::new(ReceiptSigner::new(test_key())),
    };
    let spec = verified_spec("running", &["first question", "second question"], &["m"], &["US", "EU"]);
    let catalog =
        EndpointCatalog::new(ports.backends.iter().map(|backend| backend.describe().clone())).unwrap();
    let plan = plan(spec.spec(), &catalog, &PlanOptions { batching, ..PlanOptions::default() }).unwrap();
    let submission = Submission { generation: 0, retry_of: None, weight: 1, nonce_must_be_new: true };
    let accepted =
        submit(&ports, &SchedulerOptions::default(), &catalog, (spec, plan), submission).await.unwrap();
    let Accepted::New(job) = accepted else { panic!("the job is new") };
    Bench { ports, job, seen }
}

impl Bench {
    fn scheduler(&self) -> Scheduler {
        let retry = RetryPolicy { base: Duration::from_millis(1), ..RetryPolicy::default() };
        let options = SchedulerOptions { retry, ..SchedulerOptions::default() };
        Scheduler::new(WorkerId::new("w"), self.ports.clone(), options).unwrap()
    }

    async fn run(&self) -> JobSummary {
        self.scheduler().run_job(self.job, Stop::new()).await.unwrap()
    }

    async fn records(&self) -> Vec<ExecutionRecord> {
        self.ports.view.records(self.job, None, 100).await.unwrap()
    }

    fn questions(&self) -> Vec<String> {
        self.seen.lock().unwrap().calls.iter().map(|(question, _)| question.clone()).collect()
    }
}

// S2
#[tokio::test]
async fn questions_run_in_sequence() {
    let bench = bench(Batching::Question, 0).await;

    let job = bench.run().await;

    assert_eq!(job.state, JobState::Completed);
    assert_eq!(bench.questions(), ["first question", "first question", "second question", "second question"]);
}

// S1
#[tokio::test]
async fn an_endpoint_never_has_more_calls_in_flight_than_its_limit() {
    let bench = bench(Batching::Endpoint, 0).await;

    bench.run().await;

    assert_eq!(bench.seen.lock().unwrap().most, 1);
}

// S5, L2
#[tokio::test]
async fn a_lost_connection_is_tried_again_in_the_same_region_as_a_new_attempt() {
    let bench = bench(Batching::Question, 1).await;

    let job = bench.run().await;

    assert_eq!(job.state, JobState::Completed);
    let records = bench.records().await;
    let retried = records.iter().find(|record| record.attempts.len() == 2).unwrap();
    assert_eq!(retried.cell.region, Region::UsEast);
    assert_eq!(retried.attempts[0].error.as_ref().unwrap().code, ErrorCode::ConnectionLost);
}

// L1, L8
#[tokio::test]
async fn every_record_carries_its_question_and_model_and_a_valid_receipt_under_the_close() {
    let bench = bench(Batching::Question, 0).await;

    let job = bench.run().await;

    let records = bench.records().await;
    assert_eq!(records.len(), 4);
    for record in &records {
        let receipt = record.receipt.as_ref().unwrap();
        assert_eq!(
            (&receipt.body.question, &receipt.body.model),
            (&record.cell.question, &record.cell.model)
        );
        assert_eq!(receipt.verify(), Ok(()));
    }
    let close = job.close.unwrap();
    assert_eq!((close.verify(), close.body.receipts), (Ok(()), 4));
}

// S7
#[tokio::test]
async fn a_job_cancelled_before_it_starts_makes_no_call() {
    let bench = bench(Batching::Question, 0).await;

    let by = CancelReason::By("test".to_owned());
    let cancelled = bench.ports.jobs.cancel(bench.job, by, bench.ports.clock.now()).await.unwrap();
    let job = bench.run().await;

    assert_eq!((cancelled.waiting, cancelled.in_flight), (4, 0));
    assert_eq!(job.state, JobState::Cancelled);
    assert!(bench.questions().is_empty());
}

// S7
#[tokio::test]
async fn a_cancel_drops_the_calls_in_flight_and_starts_no_more() {
    let bench = bench(Batching::Question, 0).await;
    let cancel = async {
        // The first calls are out, and none is back.
        while bench.questions().len() < 2 {
            tokio::task::yield_now().await;
        }
        let by = CancelReason::By("test".to_owned());
        bench.ports.jobs.cancel(bench.job, by, bench.ports.clock.now()).await.unwrap()
    };

    let (job, cancelled) = tokio::join!(bench.run(), cancel);

    assert_eq!((cancelled.waiting, cancelled.in_flight), (2, 2));
    assert_eq!(job.state, JobState::Cancelled);
    assert_eq!(bench.questions().len(), 2);
}
