//! `beacon run`: verify, plan, run, sum up. The same command again resumes.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use beacon_boot::{Access, EndpointsFile, Runtime, build_backends, interrupted, load_endpoints};
use beacon_domain::{Accepted, AccountId, JobFilter, JobId, JobState, JobSummary, Plan, WorkerId};
use beacon_scheduler::{EndpointCatalog, Ports, Scheduler, SchedulerOptions, Stop, Submission, submit};
use beacon_simulator::Running;
use beacon_spec::VerifiedSpec;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{line, remark};
use crate::{args::Run, exit, job_file, progress, simulated};

/// What a run works with.
pub(crate) struct Session {
    pub(crate) runtime: Runtime,
    pub(crate) ports: Ports,
    pub(crate) options: SchedulerOptions,
    pub(crate) catalog: EndpointCatalog,
    /// Dropping it ends the simulated endpoints.
    simulator: Option<Running>,
}

/// Runs a job file.
pub(crate) async fn run(command: Run, as_json: bool) -> anyhow::Result<ExitCode> {
    let spec = job_file::load(&command.file)?;
    let session = Session::open(&command, &spec).await?;
    let plan = job_file::plan(&command.file, &spec, &session.catalog)?;
    let generation = session.generation(&spec, command.fresh).await?;
    session.run(spec, plan, generation, None, as_json).await
}

impl Session {
    /// Opens the database and the endpoints.
    pub(crate) async fn open(command: &Run, spec: &VerifiedSpec) -> anyhow::Result<Self> {
        let given = command.file.endpoints.as_deref().map(load_endpoints).transpose()?;
        let runtime = Runtime::open(&command.db, Access::Run)?;
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
            signer: runtime.signer(&command.db)?,
        };
        let options = options(command, &endpoints);
        Ok(Self { runtime, ports, options, catalog, simulator })
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
        let weight = spec.weight();
        let submission = Submission { generation, retry_of, weight, nonce_must_be_new: false };
        let accepted = submit(&self.ports, &self.options, &self.catalog, (spec, plan), submission).await?;
        let job = match accepted {
            Accepted::New(job) => job,
            Accepted::Existing(job, state) => {
                let what = if state.is_terminal() { "has ended; --fresh runs it anew" } else { "is resumed" };
                remark(format_args!("job {} {what}", job.short()));
                job
            }
        };
        let summary = self.drive(job).await?;
        if let Some(simulator) = self.simulator {
            simulator.shutdown().await;
        }
        sum_up(&summary, as_json)
    }

    async fn drive(&self, job: JobId) -> anyhow::Result<JobSummary> {
        // Unique per process start: the process id and the start time.
        let id = format!("run-{}-{}", std::process::id(), self.runtime.clock.now().as_microsecond());
        let scheduler = Scheduler::new(WorkerId::new(id), self.ports.clone(), self.options.clone())?;
        let (stop, done) = (Stop::new(), CancellationToken::new());
        let signals = tokio::spawn(heed_signals(stop.clone()));
        let (view, wakeups) = (Arc::clone(&self.runtime.view), Arc::clone(&self.runtime.wakeups));
        let shown =
            tokio::spawn(progress::show(view, wakeups, Arc::clone(&self.runtime.clock), job, done.clone()));
        let summary = scheduler.run_job(job, stop).await;
        done.cancel();
        signals.abort();
        shown.await.context("the progress display failed")?;
        Ok(summary?)
    }
}

fn options(command: &Run, endpoints: &EndpointsFile) -> SchedulerOptions {
    let accounts = endpoints.accounts.iter();
    SchedulerOptions {
        slots: command.slots,
        store_patience: Some(Duration::from_secs(command.patience)),
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
    remark(format_args!(
        "stopping: calls in flight may end; Ctrl-C again drops them (what can be resumed is resumed later)"
    ));
    stop.drain();
    interrupted().await;
    stop.abort();
}

/// Prints how a job stands; the exit code says it too.
pub(crate) fn sum_up(job: &JobSummary, as_json: bool) -> anyhow::Result<ExitCode> {
    let (makespan, bound) = (job.makespan(), job.lower_bound);
    if as_json {
        line(json!({
            "job_id": job.id, "name": job.name, "state": job.state, "verdict": job.verdict,
            "executions_total": job.counts.total(), "executions_completed": job.counts.completed,
            "executions_failed": job.counts.failed + job.counts.timed_out,
            "executions_cancelled": job.counts.cancelled, "executions_unsupported": job.counts.unsupported,
            "makespan_s": makespan.map(|makespan| makespan.as_secs_f64()),
            "lower_bound_s": bound.map(|bound| bound.as_secs_f64()),
            "cost_micros": job.cost_micros, "closed": job.close.is_some(),
        }))?;
    } else {
        line(format_args!("job {} ({}): {}", job.name, job.id.short(), job.state))?;
        let counts = &job.counts;
        let bad = counts.failed + counts.timed_out;
        line(format_args!(
            "  {} of {} executions completed, {bad} failed, {} cancelled, {} unsupported",
            counts.completed,
            counts.total(),
            counts.cancelled,
            counts.unsupported
        ))?;
        if let Some(makespan) = makespan {
            line(format_args!("  took {:.2} s{}", makespan.as_secs_f64(), against(makespan, bound)))?;
        }
        if bad > 0 {
            line(format_args!(
                "  `beacon results {}` says why; `beacon retry JOB --failed` runs them again",
                job.name
            ))?;
        }
        if job.close.is_some() {
            line(format_args!("  receipts are closed and signed: `beacon receipts {}`", job.name))?;
        }
    }
    Ok(match job.state {
        JobState::Completed => ExitCode::SUCCESS,
        state if state.is_terminal() => ExitCode::from(exit::NOT_ALL_COMPLETED),
        _ => ExitCode::from(exit::STOPPED),
    })
}

fn against(makespan: Duration, bound: Option<Duration>) -> String {
    let Some(bound) = bound.filter(|bound| !bound.is_zero()) else { return String::new() };
    let ratio = makespan.as_secs_f64() / bound.as_secs_f64();
    format!("; no schedule is faster than {:.2} s (ratio {ratio:.3})", bound.as_secs_f64())
}
