//! `beacon run`: verify, plan, run, sum up. The same command again resumes.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use beacon_boot::{
    Access, EndpointsFile, Place, Runtime, build_backends, interrupted, load_endpoints, raise_open_files,
};
use beacon_domain::{
    Accepted, AccountId, Batching, EndpointView, JobFilter, JobId, JobSummary, Plan, WorkerId,
};
use beacon_scheduler::{
    EndpointCatalog, Fleet, Ports, RetryPolicy, Scheduler, SchedulerOptions, Stop, Submission, Webhooks,
    submit,
};
use beacon_simulator::Running;
use beacon_spec::VerifiedSpec;

use super::{
    remark,
    summary::{Hints, sum_up},
};
use crate::{args::Run, database, job_file, progress::Display, simulated};

/// What a run works with.
pub(crate) struct Session {
    pub(crate) runtime: Runtime,
    pub(crate) ports: Ports,
    pub(crate) options: SchedulerOptions,
    pub(crate) catalog: EndpointCatalog,
    /// Dropping it ends the simulated endpoints.
    simulator: Option<Running>,
    key_file: PathBuf,
    pub(crate) hints: Hints,
}

/// Runs a job file.
pub(crate) async fn run(command: Run, as_json: bool) -> anyhow::Result<ExitCode> {
    let spec = job_file::load(&command.file)?;
    raise_open_files();
    let session = Session::open(&command, &spec).await?;
    let plan = job_file::plan(&command.file, &spec, &session.catalog)?;
    let generation = session.generation(&spec, command.fresh).await?;
    session.run(spec, plan, generation, None, as_json).await
}

/// On a database that others share nothing is made up: neither endpoints, nor a key that nobody knows.
fn refuse_guesses(command: &Run) -> anyhow::Result<()> {
    let place @ Place::Server(_) = database::place(&command.database) else { return Ok(()) };
    anyhow::ensure!(
        command.file.endpoints.is_some(),
        "{place} is shared, and simulated answers do not belong there; add --endpoints FILE, or --db FILE for a rehearsal"
    );
    let key = database::runner_key(&command.database);
    anyhow::ensure!(
        key.exists(),
        "there is no {}; give the key that signs the receipts of {place} as --runner-key FILE (`beacon keygen --out FILE` makes one)",
        key.display()
    );
    Ok(())
}

impl Session {
    /// Opens the database and the endpoints.
    pub(crate) async fn open(command: &Run, spec: &VerifiedSpec) -> anyhow::Result<Self> {
        refuse_guesses(command)?;
        let given = command.file.endpoints.as_deref().map(load_endpoints).transpose()?;
        let runtime = database::open(&command.database, Access::Run).await?;
        let (simulator, endpoints) = match given {
            Some(endpoints) => (None, endpoints),
            None => {
                let (running, endpoints) = simulated::start(spec.spec(), Arc::clone(&runtime.clock)).await?;
                (Some(running), endpoints)
            }
        };
        let backends = build_backends(&endpoints, Arc::clone(&runtime.clock))?;
        let catalog = EndpointCatalog::new(backends.iter().map(|backend| backend.describe().clone()))?;
        let ports = Ports {
            clock: Arc::clone(&runtime.clock),
            jobs: Arc::clone(&runtime.jobs),
            queue: Arc::clone(&runtime.queue),
            view: Arc::clone(&runtime.view),
            wakeups: Arc::clone(&runtime.wakeups),
            backends,
            fleet: Some(Fleet {
                attendance: Arc::clone(&runtime.operations) as _,
                endpoints: Arc::clone(&runtime.operations) as _,
                version: env!("CARGO_PKG_VERSION"),
            }),
            webhooks: webhooks(&database::place(&command.database), &runtime, spec),
            signer: beacon_boot::receipt_signer(&database::runner_key(&command.database))?,
        };
        let options = options(command, &endpoints);
        let (key_file, hints) = (database::runner_key(&command.database), Hints::of(command));
        Ok(Self { runtime, ports, options, catalog, simulator, key_file, hints })
    }

    /// The run that is meant: the latest one, or the next one if it is to be fresh.
    pub(crate) async fn generation(&self, spec: &VerifiedSpec, fresh: bool) -> anyhow::Result<u32> {
        let filter = JobFilter { name: Some(spec.spec().name.clone()), limit: 500, ..JobFilter::default() };
        let jobs = self.runtime.view.jobs(filter).await?.items;
        let own = jobs.iter().filter(|job| job.key == *spec.key() && (fresh || job.retry_of.is_none()));
        let latest = own.map(|job| job.generation).max();
        Ok(latest.map_or(0, |latest| if fresh { latest + 1 } else { latest }))
    }

    /// Submits the plan and runs it to its end.
    pub(crate) async fn run(
        self,
        spec: VerifiedSpec,
        plan: Plan,
        generation: u32,
        retry_of: Option<JobId>,
        as_json: bool,
    ) -> anyhow::Result<ExitCode> {
        let (weight, batching) = (spec.weight(), plan.batching);
        let submission = Submission { generation, retry_of, weight, nonce_must_be_new: false };
        let accepted = submit(&self.ports, &self.options, &self.catalog, (spec, plan), submission).await?;
        let job = match accepted {
            Accepted::New(job) => job,
            Accepted::Existing(job, state) => {
                let what = if state.is_terminal() { "has ended; --fresh runs it anew" } else { "is resumed" };
                remark(format_args!("job {} {what}", job.short()));
                self.note_pause(job).await?;
                self.check_endpoints(job).await?;
                self.check_runner(job).await?;
                self.note_batching(job, batching).await?;
                job
            }
        };
        let summary = self.drive(job).await?;
        let failures = self.runtime.view.failures(job).await?;
        if let Some(simulator) = self.simulator {
            simulator.shutdown().await;
        }
        sum_up(&summary, &failures, &self.hints, as_json)
    }

    /// The plan is frozen with its endpoints (L1): without one of them its executions would wait for ever.
    async fn check_endpoints(&self, job: JobId) -> anyhow::Result<()> {
        let progress = self.runtime.view.progress(job, self.runtime.clock.now()).await?;
        let serves = |view: &EndpointView| {
            let known = self.catalog.endpoint(&view.endpoint);
            known.is_some_and(|known| known.model == view.model && known.region == view.region)
        };
        let missing = progress.endpoints.iter().filter(|view| view.counts.open() > 0 && !serves(view));
        let missing: Vec<String> =
            missing.map(|view| format!("{} ({} in {})", view.endpoint, view.model, view.region)).collect();
        anyhow::ensure!(
            missing.is_empty(),
            "the job was planned with endpoints that are not there now: {}; give the --endpoints of its first run, \
             or plan it anew with --fresh",
            missing.join(", ")
        );
        Ok(())
    }

    /// Receipts of one job are signed by one runner, or nobody can check them together (L8).
    async fn check_runner(&self, job: JobId) -> anyhow::Result<()> {
        let mut after = None;
        let signed = loop {
            let records = self.runtime.view.records(job, after, 500).await?;
            let Some(last) = records.last() else { return Ok(()) };
            after = Some(last.id.n);
            if let Some(receipt) = records.iter().find_map(|record| record.receipt.as_ref()) {
                break receipt.runner_key.clone();
            }
        };
        anyhow::ensure!(
            signed == self.ports.signer.public_key_base64(),
            "the job has receipts of another runner's key ({signed}); put that key back ({}), or run anew with --fresh",
            self.key_file.display()
        );
        Ok(())
    }

    /// A paused job would look as if it hung.
    async fn note_pause(&self, job: JobId) -> anyhow::Result<()> {
        if let Some(paused) = self.runtime.view.job(job).await?.and_then(|job| job.paused) {
            remark(format_args!(
                "note: the job was paused by {} at {}; `beacon resume {}` lets it go on",
                paused.by,
                paused.at,
                job.short()
            ));
        }
        Ok(())
    }

    async fn note_batching(&self, job: JobId, asked: Batching) -> anyhow::Result<()> {
        let planned = self.runtime.view.job(job).await?.map(|job| job.batching);
        if planned.is_some_and(|planned| planned != asked) {
            let planned = if asked == Batching::Question { "endpoint" } else { "question" };
            remark(format_args!("note: the job keeps the --batching {planned} of its first run"));
        }
        Ok(())
    }

    async fn drive(&self, job: JobId) -> anyhow::Result<JobSummary> {
        // Unique per process start: the process id and the start time.
        let id = format!("run-{}-{}", std::process::id(), self.runtime.clock.now().as_microsecond());
        let scheduler = Scheduler::new(WorkerId::new(id), self.ports.clone(), self.options.clone())?;
        let stop = Stop::new();
        let signals = tokio::spawn(heed_signals(stop.clone()));
        let (view, wakeups) = (Arc::clone(&self.runtime.view), Arc::clone(&self.runtime.wakeups));
        let clock = Arc::clone(&self.runtime.clock);
        let display =
            Display::start(view, wakeups, Arc::clone(&clock), job).context("cannot start a thread")?;
        let summary = scheduler.run_job(job, stop).await;
        signals.abort();
        display.finish(clock.as_ref()).await;
        Ok(summary?)
    }
}

/// On a shared database the workers send what is queued; nobody does for a file.
fn webhooks(place: &Place, runtime: &Runtime, spec: &VerifiedSpec) -> Option<Webhooks> {
    if matches!(place, Place::Server(_)) {
        return Some(Webhooks::new(
            Arc::clone(&runtime.operations) as _,
            Arc::clone(&runtime.operations) as _,
        ));
    }
    if !spec.spec().webhooks.is_empty() {
        remark(format_args!("note: the job has webhooks, which services send; nobody is told of this run"));
    }
    None
}

fn options(command: &Run, endpoints: &EndpointsFile) -> SchedulerOptions {
    let accounts = endpoints.accounts.iter();
    SchedulerOptions {
        slots: command.slots,
        store_patience: Some(Duration::from_secs(command.patience)),
        retry: RetryPolicy {
            unreachable: Duration::from_secs(command.endpoint_patience),
            ..RetryPolicy::default()
        },
        global_limit: endpoints.global_limit,
        account_limits: accounts
            .map(|(name, account)| (AccountId::new(name.as_str()), account.limit))
            .collect(),
        ..SchedulerOptions::default()
    }
}

/// The first signal drains, the second one drops the calls.
async fn heed_signals(stop: Stop) {
    interrupted().await;
    // First the deed: a terminal that stands still must not hold it up.
    stop.drain();
    remark(format_args!(
        "stopping: calls in flight may end; Ctrl-C again drops them (what can be resumed is resumed later)"
    ));
    interrupted().await;
    stop.abort();
}
