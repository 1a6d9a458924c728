//! `beacon retry JOB --failed`: the failed executions of a job, as a new job. The first one stays as it ended (L4).

use std::{collections::HashSet, process::ExitCode};

use anyhow::bail;
use beacon_boot::Place;
use beacon_domain::{ExecutionState, JobFilter};
use beacon_scheduler::PlanOptions;

use super::{remark, run::Session, summary::sum_up};
use crate::{args, database, job_file};

/// Runs them again.
pub(crate) async fn retry(command: args::Retry, as_json: bool) -> anyhow::Result<ExitCode> {
    let run = command.run;
    anyhow::ensure!(
        run.file.job.exists(),
        "there is no file {}; give the signed job file, not the job's id",
        run.file.job.display()
    );
    let there = match database::place(&run.database) {
        Place::File(file) => file.exists(),
        Place::Server(_) => true,
    };
    anyhow::ensure!(
        there,
        "there is no database {}; the job has not run there",
        database::place(&run.database)
    );
    let spec = job_file::load(&run.file)?;
    let session = Session::open(&run, &spec).await?;
    let filter = JobFilter { name: Some(spec.spec().name.clone()), limit: 500, ..JobFilter::default() };
    let jobs = session.runtime.view.jobs(filter).await?.items;
    let latest = jobs.into_iter().filter(|job| job.key == *spec.key()).max_by_key(|job| job.generation);
    let Some(latest) = latest else { bail!("the job has not run yet; use `beacon run`") };
    if !latest.state.is_terminal() {
        bail!("the job has not ended yet; `beacon run` resumes it");
    }
    let matrix = session.runtime.view.matrix(latest.id).await?;
    let failed = matrix
        .cells
        .into_iter()
        .filter(|cell| matches!(cell.state, ExecutionState::Failed | ExecutionState::TimedOut));
    let only: HashSet<_> = failed.map(|cell| (cell.question, cell.model, cell.region, cell.run)).collect();
    if only.is_empty() {
        remark(format_args!("nothing failed in job {}", latest.id.short()));
        return sum_up(&latest, &[], &session.hints, as_json);
    }
    let options = PlanOptions { only: Some(only), ..job_file::plan_options(&run.file) };
    let plan = beacon_scheduler::plan(spec.spec(), &session.catalog, &options)?;
    session.run(spec, plan, latest.generation + 1, Some(latest.id), as_json).await
}
