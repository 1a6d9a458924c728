//! The scheduler inside another program: a memory store and a closure as the endpoint; no database file, no HTTP.

use std::sync::Arc;

use beacon_domain::{Accepted, Answer, Backend, EndpointId, EndpointInfo, SystemClock, WorkerId};
use beacon_scheduler::{
    EndpointCatalog, FunctionBackend, PlanOptions, Ports, Scheduler, SchedulerOptions, Stop, Submission,
    plan, submit,
};
use beacon_spec::{ModelId, ReceiptSigner, Region, SigningKey};
use beacon_store::MemoryStore;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let info = EndpointInfo::new(EndpointId::new("here"), ModelId::new("echo")?, Region::UsEast);
    let backend = FunctionBackend::new(info, |request, _context| async move {
        Ok(Answer::of_text(format!("you asked: {}", request.prompt)))
    });
    let store = Arc::new(MemoryStore::new());
    let ports = Ports {
        clock: Arc::new(SystemClock::new()),
        jobs: Arc::clone(&store) as _,
        queue: Arc::clone(&store) as _,
        wakeups: store.wakeups(),
        view: store,
        backends: vec![Arc::new(backend) as Arc<dyn Backend>],
        fleet: None,
        webhooks: None,
        signer: Arc::new(ReceiptSigner::new(SigningKey::generate())),
    };
    let options = SchedulerOptions::default();
    let catalog = EndpointCatalog::new(ports.backends.iter().map(|backend| backend.describe().clone()))?;
    let spec =
        beacon_testkit::verified_spec("embedded", &["Who are you?", "What is 2+2?"], &["echo"], &["US"]);
    let plan = plan(spec.spec(), &catalog, &PlanOptions::default())?;
    let submission = Submission { generation: 0, retry_of: None, weight: 1, nonce_must_be_new: true };
    let (Accepted::New(job) | Accepted::Existing(job, _)) =
        submit(&ports, &options, &catalog, (spec, plan), submission).await?;

    let ended = Scheduler::new(WorkerId::new("embedded"), ports, options)?.run_job(job, Stop::new()).await?;

    tracing::info!("the job is {}", ended.state);
    anyhow::ensure!(ended.counts.completed == 2, "both questions have answers");
    Ok(())
}
