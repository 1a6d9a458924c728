//! A job over scripted endpoints, and what the endpoints saw.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use beacon_domain::{
    Accepted, Answer, AttemptId, Backend, Batching, CallContext, CallError, CallRequest, Clock, EndpointId,
    EndpointInfo, ErrorCode, ExecutionRecord, JobId, JobSummary, ResumeToken, Stage, SystemClock, WorkerId,
};
use beacon_scheduler::{
    AcceptError, EndpointCatalog, Fleet, FunctionBackend, PlanOptions, Ports, Scheduler, SchedulerOptions,
    Stop, Submission, plan, submit,
};
use beacon_spec::{ModelId, ReceiptSigner, Region};
use beacon_store::MemoryStore;
use beacon_testkit::{SpecBuilder, endpoint_of, test_key};
use tokio::time::sleep;

/// How long an answer takes unless a script says otherwise.
pub(crate) const WARM: Duration = Duration::from_secs(1);

/// One call as its endpoint sees it.
#[derive(Clone)]
pub(crate) struct Call {
    /// From 1, at this endpoint.
    pub(crate) number: usize,
    pub(crate) request: CallRequest,
    pub(crate) context: CallContext,
}

/// What an endpoint does with a call.
#[derive(Clone)]
pub(crate) enum Reply {
    Answer(Duration, Answer),
    Fail(Duration, CallError),
    /// Makes a resume token durable after a while, then answers after another.
    Pending(Duration, Duration),
    /// Never ends by itself.
    Hang,
}

pub(crate) type Script = Arc<dyn Fn(&Call) -> Reply + Send + Sync>;

/// One call as it is remembered. Times are since the bench was made.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) endpoint: EndpointId,
    pub(crate) question: String,
    pub(crate) request: CallRequest,
    pub(crate) attempt: AttemptId,
    pub(crate) deadline: Duration,
    pub(crate) resume: Option<ResumeToken>,
    pub(crate) at: Duration,
    /// When it was answered, failed or dropped; `None` while it runs.
    pub(crate) ended: Option<Duration>,
}

/// Endpoints, a store, and settings.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) ports: Ports,
    pub(crate) options: SchedulerOptions,
    pub(crate) store: Arc<MemoryStore>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// Records the end of a call, also when it is dropped.
struct Ends {
    seen: Arc<Mutex<Vec<Seen>>>,
    place: usize,
    clock: Arc<dyn Clock>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.seen.lock().unwrap()[self.place].ended = Some(self.clock.monotonic().0);
    }
}

/// An endpoint with one call at a time.
pub(crate) fn endpoint(region: Region, model: &str) -> EndpointInfo {
    EndpointInfo::new(endpoint_of(region, model), ModelId::new(model).unwrap(), region)
}

/// Answers after this long.
pub(crate) fn answers_after(time: Duration) -> Script {
    Arc::new(move |call| answer(time, call))
}

pub(crate) fn answer(time: Duration, call: &Call) -> Reply {
    Reply::Answer(time, Answer::of_text(format!("answer to {}", call.request.prompt)))
}

pub(crate) fn fail(time: Duration, code: ErrorCode) -> Reply {
    Reply::Fail(time, CallError::new(code, Stage::Request, "scripted"))
}

impl Bench {
    /// A bench without endpoints.
    pub(crate) fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let ports = Ports {
            clock: Arc::new(SystemClock::new()),
            jobs: Arc::clone(&store) as _,
            queue: Arc::clone(&store) as _,
            wakeups: store.wakeups(),
            view: Arc::clone(&store) as _,
            backends: Vec::new(),
            fleet: Some(Fleet {
                attendance: Arc::clone(&store) as _,
                endpoints: Arc::clone(&store) as _,
                version: "test",
            }),
            webhooks: None,
            signer: Arc::new(ReceiptSigner::new(test_key())),
        };
        Self { ports, options: SchedulerOptions::default(), store, seen: Arc::default() }
    }

    /// A bench with the model `m` in us-east and eu-west.
    pub(crate) fn of_two_regions() -> Self {
        let one = |region| endpoint(region, "m");
        Self::new()
            .endpoint(one(Region::UsEast), answers_after(WARM))
            .endpoint(one(Region::EuWest), answers_after(WARM))
    }

    /// Adds an endpoint.
    pub(crate) fn endpoint(mut self, info: EndpointInfo, script: Script) -> Self {
        let (seen, clock) = (Arc::clone(&self.seen), Arc::clone(&self.ports.clock));
        let id = info.id.clone();
        let backend = FunctionBackend::new(info, move |request, context| {
            let (seen, clock, script, id) = (seen.clone(), clock.clone(), script.clone(), id.clone());
            async move {
                let (call, _ends) = remember(&seen, &clock, &id, request, context);
                perform(script(&call), &call, clock.as_ref()).await
            }
        });
        self.ports.backends.push(Arc::new(backend) as Arc<dyn Backend>);
        self
    }

    pub(crate) fn catalog(&self) -> EndpointCatalog {
        let infos = self.ports.backends.iter().map(|backend| backend.describe().clone());
        EndpointCatalog::new(infos).unwrap()
    }

    pub(crate) async fn try_submit(
        &self,
        spec: &SpecBuilder,
        batching: Batching,
    ) -> Result<JobId, AcceptError> {
        let spec = spec.verified();
        let options = PlanOptions { batching, ..PlanOptions::default() };
        let plan = plan(spec.spec(), &self.catalog(), &options).unwrap();
        let submission =
            Submission { generation: 0, retry_of: None, weight: spec.weight(), nonce_must_be_new: true };
        let accepted = submit(&self.ports, &self.options, &self.catalog(), (spec, plan), submission).await?;
        let (Accepted::New(job) | Accepted::Existing(job, _)) = accepted;
        Ok(job)
    }

    pub(crate) async fn submit(&self, spec: &SpecBuilder, batching: Batching) -> JobId {
        self.try_submit(spec, batching).await.unwrap()
    }

    pub(crate) fn scheduler(&self, name: &str) -> Scheduler {
        Scheduler::new(WorkerId::new(name), self.ports.clone(), self.options.clone()).unwrap()
    }

    /// Runs a submitted job to its end.
    pub(crate) async fn run(&self, job: JobId) -> JobSummary {
        self.scheduler("w").run_job(job, Stop::new()).await.unwrap()
    }

    /// Works on whatever is there until `stop`.
    pub(crate) async fn work(&self, stop: Stop) {
        self.scheduler("w").run(stop).await.unwrap();
    }

    pub(crate) async fn job(&self, job: JobId) -> JobSummary {
        self.ports.view.job(job).await.unwrap().unwrap()
    }

    pub(crate) async fn records(&self, job: JobId) -> Vec<ExecutionRecord> {
        self.ports.view.records(job, None, 100_000).await.unwrap()
    }

    pub(crate) fn now(&self) -> Duration {
        self.ports.clock.monotonic().0
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn questions(&self) -> Vec<String> {
        self.seen().into_iter().map(|call| call.question).collect()
    }

    /// Waits until so many calls were made.
    pub(crate) async fn calls_made(&self, n: usize) {
        while self.seen.lock().unwrap().len() < n {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The most calls in flight at once, by endpoint.
    pub(crate) fn most_in_flight(&self) -> BTreeMap<String, usize> {
        let seen = self.seen();
        let mut most = BTreeMap::new();
        for call in &seen {
            let at_once = seen.iter().filter(|other| {
                let running = other.at <= call.at && other.ended.is_none_or(|ended| ended > call.at);
                other.endpoint == call.endpoint && running
            });
            let highest = most.entry(call.endpoint.to_string()).or_default();
            *highest = at_once.count().max(*highest);
        }
        most
    }
}

fn remember(
    seen: &Arc<Mutex<Vec<Seen>>>,
    clock: &Arc<dyn Clock>,
    endpoint: &EndpointId,
    request: CallRequest,
    context: CallContext,
) -> (Call, Ends) {
    let mut calls = seen.lock().unwrap();
    let place = calls.len();
    calls.push(Seen {
        endpoint: endpoint.clone(),
        question: request.prompt.to_string(),
        request: request.clone(),
        attempt: context.attempt,
        deadline: context.deadline.0,
        resume: context.resume.clone(),
        at: clock.monotonic().0,
        ended: None,
    });
    let number = calls.iter().filter(|call| call.endpoint == *endpoint).count();
    let ends = Ends { seen: Arc::clone(seen), place, clock: Arc::clone(clock) };
    (Call { number, request, context }, ends)
}

/// Does what the script says, but never past the call's deadline, as every backend must.
async fn perform(reply: Reply, call: &Call, clock: &dyn Clock) -> Result<Answer, CallError> {
    let work = async {
        match reply {
            Reply::Answer(time, answer) => {
                sleep(time).await;
                Ok(answer)
            }
            Reply::Fail(time, error) => {
                sleep(time).await;
                Err(error)
            }
            Reply::Pending(window, rest) => {
                if call.context.resume.is_none() {
                    sleep(window).await;
                    let token = ResumeToken(format!("remote call of {}", call.context.attempt));
                    call.context.checkpoint.save(token).await.unwrap();
                }
                sleep(rest).await;
                Ok(Answer::of_text("late but here"))
            }
            Reply::Hang => std::future::pending().await,
        }
    };
    tokio::select! {
        done = work => done,
        () = clock.sleep_until(call.context.deadline) => {
            Err(CallError::new(ErrorCode::AttemptTimeout, Stage::Request, "the attempt's time limit passed"))
        }
    }
}
