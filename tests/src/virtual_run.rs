//! The original workload at its real scale on virtual time: 64 executions, 180 s cold, 40 s warm.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context as _;
use beacon_domain::{Accepted, Backend, Batching, Clock as _, JobSummary, SystemClock, WorkerId};
use beacon_scheduler::{
    EndpointCatalog, PlanOptions, Ports, Scheduler, SchedulerOptions, Stop, Submission, plan, submit,
};
use beacon_simulator::{SimConfig, Simulator, Warm};
use beacon_spec::{Freshness, KeyRing, ReceiptSigner, SignedSpec, SigningKey, VerifiedSpec, verify};
use beacon_store::MemoryStore;

use crate::root;

const COLD: Duration = Duration::from_secs(180);
const WARM_S: f64 = 40.0;

/// Runs `examples/bias-detection.signed.json` to its end. The runtime's time must be paused.
///
/// # Errors
/// The example cannot be read, verified, planned or run.
pub async fn virtual_run(batching: Batching) -> anyhow::Result<JobSummary> {
    let clock = Arc::new(SystemClock::new());
    let spec = example(&clock)?;
    let models = spec.spec().models.iter();
    let cells = models.flat_map(|model| model.regions.iter().map(|region| (model.id.clone(), *region)));
    let cells: Vec<_> = cells.collect::<BTreeSet<_>>().into_iter().collect();
    let config = SimConfig::for_cells(&cells, COLD, Warm::FixedS(WARM_S));
    let simulator = Simulator::new(config, clock.clone())?;
    let store = Arc::new(MemoryStore::new());
    let ports = Ports {
        clock,
        jobs: Arc::clone(&store) as _,
        queue: Arc::clone(&store) as _,
        wakeups: store.wakeups(),
        view: store,
        backends: simulator.backends().into_iter().map(|one| Arc::new(one) as Arc<dyn Backend>).collect(),
        fleet: None,
        webhooks: None,
        signer: Arc::new(ReceiptSigner::new(SigningKey::generate())),
    };
    let catalog = EndpointCatalog::new(ports.backends.iter().map(|one| one.describe().clone()))?;
    let plan = plan(spec.spec(), &catalog, &PlanOptions { batching, ..PlanOptions::default() })?;
    let options = SchedulerOptions::default();
    let submission = Submission { generation: 0, retry_of: None, weight: 1, nonce_must_be_new: false };
    let (Accepted::New(job) | Accepted::Existing(job, _)) =
        submit(&ports, &options, &catalog, (spec, plan), submission).await?;
    Ok(Scheduler::new(WorkerId::new("virtual"), ports, options)?.run_job(job, Stop::new()).await?)
}

fn example(clock: &SystemClock) -> anyhow::Result<VerifiedSpec> {
    let read =
        |name: &str| std::fs::read(root().join("examples").join(name)).with_context(|| name.to_owned());
    let ring = KeyRing::parse(&read("keys.json")?)?;
    let signed = SignedSpec::new(read("bias-detection.signed.json")?)?;
    Ok(verify(signed, &ring, clock.now(), Freshness::NotedOnly)?)
}
