//! `beacon jobs`, `show` and `cancel`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::anyhow;
use beacon_boot::Access;
use beacon_domain::{
    Bound, COMMAND_LINE, CancelReason, Cancelled, CellView, EndpointId, JobFilter, JobSummary, JobView,
    Matrix, Progress, StateCounts, Verdict, WaitReason,
};
use beacon_spec::{JobName, Timestamp};
use serde_json::json;

use super::{failures, line, remote, steer};
use crate::{
    args::{self, OneJob, Steer},
    database,
    meant::Meant,
    server,
};

/// Longer names are not padded to.
const WIDEST: usize = 60;

/// Lists jobs, newest first.
pub(crate) async fn jobs(command: &args::Jobs, as_json: bool) -> anyhow::Result<ExitCode> {
    let (jobs, place) = match server::of(&command.on)? {
        Some(server) => (server.jobs(command.limit).await?, server.url.to_string()),
        None => {
            let runtime = database::open(&command.database, Access::Shared).await?;
            let filter = JobFilter { limit: command.limit, ..JobFilter::default() };
            (runtime.view.jobs(filter).await?.items, database::place(&command.database).to_string())
        }
    };
    if as_json {
        for job in &jobs {
            line(serde_json::to_string(job)?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if jobs.is_empty() {
        line(format_args!("no jobs in {place}"))?;
    }
    for job in &jobs {
        let (done, total) = (job.counts.completed, job.counts.total());
        let retry =
            job.retry_of.map_or_else(String::new, |first| format!("  (tries {} again)", first.short()));
        let paused = if job.paused.is_some() { "  (paused)" } else { "" };
        line(format_args!(
            "{}  {:<24} {done:>6}/{total:<6} {}{paused}{retry}",
            job.id.short(),
            job.state,
            job.name
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows one job.
pub(crate) async fn show(command: &OneJob, as_json: bool) -> anyhow::Result<ExitCode> {
    if let Some(server) = server::of(&command.on)? {
        return remote::show(&server, &command.job, as_json).await;
    }
    let runtime = database::open(&command.database, Access::Shared).await?;
    let job = find(runtime.view.as_ref(), &command.job).await?;
    let progress = runtime.view.progress(job.id, runtime.clock.now()).await?;
    if as_json {
        let mut object = serde_json::to_value(&progress)?;
        object["failures"] = serde_json::to_value(runtime.view.failures(job.id).await?)?;
        line(object)?
    } else {
        print(&progress)?;
        failures::print(&runtime.view.failures(job.id).await?)?;
        let matrix = runtime.view.matrix(job.id).await?;
        waiting(&progress, &matrix, runtime.clock.now())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Cancels one job.
pub(crate) async fn cancel(command: &Steer, as_json: bool) -> anyhow::Result<ExitCode> {
    let Steer { job: command, signed } = command;
    if let Some(server) = server::to_steer(&command.on, signed)? {
        return remote::cancel(&server, &command.job, as_json).await;
    }
    let runtime = database::open(&command.database, Access::Shared).await?;
    let job = find(runtime.view.as_ref(), &command.job).await?;
    steer::note(&runtime, "job.cancel", &job.id).await?;
    let reason = CancelReason::By(COMMAND_LINE.to_owned());
    let cancelled = runtime.jobs.cancel(job.id, reason, runtime.clock.now()).await?;
    tell_cancelled(&job, &cancelled, as_json)
}

/// What a cancel changed.
pub(crate) fn tell_cancelled(
    job: &JobSummary,
    cancelled: &Cancelled,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if as_json {
        line(json!({
            "job_id": job.id, "state": cancelled.state, "already_ended": cancelled.already_ended,
            "cancelled_waiting": cancelled.waiting, "cancelled_in_flight": cancelled.in_flight,
        }))?;
    } else if cancelled.already_ended {
        line(format_args!("job {} had already ended: {}", job.name, cancelled.state))?;
    } else {
        let (waiting, in_flight) = (cancelled.waiting, cancelled.in_flight);
        line(format_args!("cancelled job {}: {waiting} waiting, {in_flight} in flight", job.name))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The job that a person means: by the signer's id (the latest run of it), or by its own id or the beginning of that.
pub(crate) async fn find(view: &dyn JobView, text: &str) -> anyhow::Result<JobSummary> {
    let none = || anyhow!("there is no job {text:?}; `beacon jobs` lists them");
    let mut filter = JobFilter { limit: 500, ..JobFilter::default() };
    let mut candidates = match Meant::by(text) {
        Meant::Id(id) => return view.job(id).await?.ok_or_else(none),
        Meant::BeginningOrName(candidates) => candidates,
        Meant::Name(candidates) => {
            filter.name = Some(JobName::new(text).map_err(|_| none())?);
            candidates
        }
    };
    loop {
        let page = view.jobs(filter.clone()).await?;
        candidates.look_at(page.items);
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            return candidates.one()?.ok_or_else(none);
        }
    }
}

/// Prints how a job stands, by question and endpoint.
pub(crate) fn print(progress: &Progress) -> anyhow::Result<()> {
    let job = &progress.job;
    line(format_args!("{}  {}  {}", job.id.short(), job.name, standing(job)))?;
    let widest = progress.batches.iter().map(|batch| batch.question.as_str().chars().count());
    let width = widest.max().unwrap_or(0).clamp(10, WIDEST);
    for batch in &progress.batches {
        let (n, counts) = (batch.number, counted(&batch.counts));
        line(format_args!("  {n:>3}. {:<width$} {counts}", batch.question))?;
    }
    let widest = progress.endpoints.iter().map(|view| view.endpoint.as_str().chars().count());
    let width = widest.max().unwrap_or(0).clamp(10, WIDEST);
    for endpoint in &progress.endpoints {
        // The job's own calls; those of other jobs are among `endpoint.in_flight`.
        let (counts, in_flight) = (counted(&endpoint.counts), endpoint.counts.running);
        line(format_args!("  {:<width$} {counts}, {in_flight} in flight", endpoint.endpoint))?;
    }
    // The makespan is first dispatch to end (S12).
    if let Some(makespan) = job.makespan() {
        line(format_args!("took {:.2} s", makespan.as_secs_f64()))?;
    }
    Ok(())
}

/// The state, and what it does not say by itself.
fn standing(job: &JobSummary) -> String {
    let retry = job.retry_of.map_or_else(String::new, |first| format!(", tries {} again", first.short()));
    let verdict = if job.verdict == Some(Verdict::NotMet) { ", its minima are not met" } else { "" };
    let paused = job
        .paused
        .as_ref()
        .map_or_else(String::new, |paused| format!(", paused by {} at {}", paused.by, paused.at));
    format!("{}{paused}{verdict}{retry}", job.state)
}

/// Completed executions of all, and whatever else became of them.
pub(crate) fn counted(counts: &StateCounts) -> String {
    let mut text = format!("{:>5}/{:<5} completed", counts.completed, counts.total());
    let others = [
        (counts.failed, "failed"),
        (counts.timed_out, "timed out"),
        (counts.cancelled, "cancelled"),
        (counts.unsupported, "unsupported"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        text += &format!(", {count} {what}");
    }
    text
}

/// Why executions wait, counted by reason (S11).
fn waiting(progress: &Progress, matrix: &Matrix, now: Timestamp) -> anyhow::Result<()> {
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    for cell in &matrix.cells {
        let endpoint = progress.endpoints.iter().find(|view| Some(&view.endpoint) == cell.endpoint.as_ref());
        if let Some(reason) = WaitReason::of_job(&progress.job, cell, endpoint, now) {
            *reasons.entry(explain(reason, cell)).or_default() += 1;
        }
    }
    for (reason, count) in reasons {
        line(format_args!("  {count:>5} wait {reason}"))?;
    }
    Ok(())
}

fn explain(reason: WaitReason, cell: &CellView) -> String {
    let endpoint = cell.endpoint.as_ref().map_or("its endpoint", EndpointId::as_str);
    match reason {
        WaitReason::Paused => "for `beacon resume`: the job is paused".to_owned(),
        WaitReason::Batch => "for the question before".to_owned(),
        WaitReason::Retry { at } => format!("for their next attempt at {at}"),
        WaitReason::ColdProbe => format!("for the first answer of {endpoint}, which is cold"),
        WaitReason::Throttled { until } => format!("for {endpoint}, which asked for a pause until {until}"),
        WaitReason::Breaker { until } => format!("for {endpoint}, which keeps failing, until {until}"),
        WaitReason::Abandoned { calls, until } => {
            let calls = crate::out::some_calls(calls);
            match until {
                Some(until) => format!(
                    "for {endpoint}, where {calls} may still run that nobody waits for any more; a slot is free at {until}"
                ),
                None => format!("for {endpoint}, where {calls} may run until a worker asks for the answer"),
            }
        }
        WaitReason::Reattach => {
            format!("for a worker that asks {endpoint} for their answers: their calls still run there")
        }
        WaitReason::Limit { bound: Bound::Endpoint } => format!("for {endpoint}, which is at its limit"),
        WaitReason::Limit { bound: Bound::Drain } => format!("for {endpoint}, which is drained"),
        WaitReason::Limit { bound: Bound::Account } => {
            format!("for the account of {endpoint}, which is at its limit")
        }
        WaitReason::Limit { bound: Bound::Global } => "for the limit over all endpoints".to_owned(),
        WaitReason::Limit { bound: Bound::DayBudget } => "for tomorrow: the day's budget is spent".to_owned(),
        WaitReason::Limit { bound: Bound::Worker } => format!("for a free slot of the worker on {endpoint}"),
        WaitReason::Worker => format!("for a worker that serves {endpoint}"),
    }
}
