//! How a job stands after a command, for people and for programs.

use std::{process::ExitCode, time::Duration};

use beacon_client::ServerUrl;
use beacon_domain::{Failure, JobState, JobSummary, Verdict};
use serde_json::json;

use super::{failures, line};
use crate::{
    args::Run,
    exit,
    out::{OutputError, word},
};

/// What the commands that are hinted at need to find the same job.
#[derive(Debug)]
pub(crate) struct Hints {
    /// Where jobs are kept, as options.
    place: String,
    /// How what failed runs again, if that is one command.
    again: Option<String>,
}

impl Hints {
    /// From the command that ran.
    pub(crate) fn of(command: &Run) -> Self {
        let option = |name: &str, value: Option<String>| {
            value.map_or_else(String::new, |value| format!(" --{name} {}", word(&value)))
        };
        let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
        // A URL may hold a password and is not repeated.
        let url = command.database.database_url.as_ref().map(|_| "URL".to_owned());
        let place = option("db", path(&command.database.db)) + &option("database-url", url);
        let file = word(&command.file.job.display().to_string());
        let run =
            option("keys", path(&command.file.keys)) + &option("endpoints", path(&command.file.endpoints));
        Self { again: Some(format!("beacon retry {file} --failed{run}{place}")), place }
    }

    /// For a job of this server.
    pub(crate) fn of_server(url: &ServerUrl) -> Self {
        Self { place: format!(" --server {}", word(&url.to_string())), again: None }
    }
}

/// Prints how a job stands; the exit code says it too, also to whoever does not read the text.
pub(crate) fn sum_up(
    job: &JobSummary,
    failures: &[Failure],
    hints: &Hints,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let printed = if as_json { line(object(job, failures)) } else { text(job, failures, hints) };
    if let Err(error) = printed
        && !error.is_closed_pipe()
    {
        return Err(error.into());
    }
    Ok(match job.state {
        JobState::Completed => ExitCode::SUCCESS,
        state if state.is_terminal() => ExitCode::from(exit::NOT_ALL_COMPLETED),
        _ => ExitCode::from(exit::STOPPED),
    })
}

fn object(job: &JobSummary, failures: &[Failure]) -> serde_json::Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    json!({
        "job_id": job.id, "name": job.name, "state": job.state, "verdict": job.verdict,
        "executions_total": job.counts.total(), "executions_completed": job.counts.completed,
        "executions_failed": job.counts.failed + job.counts.timed_out,
        "executions_timed_out": job.counts.timed_out,
        "executions_cancelled": job.counts.cancelled, "executions_unsupported": job.counts.unsupported,
        "failures": failures, "makespan_s": seconds(job.makespan()), "lower_bound_s": seconds(job.lower_bound),
        "cost_micros": job.cost_micros, "closed": job.close.is_some(),
    })
}

fn text(job: &JobSummary, failures: &[Failure], hints: &Hints) -> Result<(), OutputError> {
    let (counts, id, place) = (&job.counts, job.id.short(), &hints.place);
    line(format_args!("job {} ({id}): {}", job.name, job.state))?;
    line(format_args!(
        "  {} of {} executions completed, {} failed, {} timed out, {} cancelled, {} unsupported",
        counts.completed,
        counts.total(),
        counts.failed,
        counts.timed_out,
        counts.cancelled,
        counts.unsupported
    ))?;
    if let Some(makespan) = job.makespan() {
        line(format_args!("  took {:.2} s{}", makespan.as_secs_f64(), against(job, makespan)))?;
    }
    if job.verdict == Some(Verdict::NotMet) {
        line("  verdict: min_success_rate or min_regions of the job is not met")?;
    }
    failures::print(failures)?;
    if !job.state.is_terminal() {
        return line("  stopped before its end; the same command resumes it");
    }
    if !failures.is_empty() {
        line(format_args!("  all of them: `beacon results {id}{place}`"))?;
        if let Some(again) = &hints.again {
            line(format_args!("  again: `{again}`"))?;
        }
    }
    if job.close.is_some() {
        line(format_args!("  receipts are closed and signed: `beacon receipts {id}{place}`"))?;
    }
    Ok(())
}

/// The estimate assumes that every endpoint starts cold and that all of the job runs.
fn against(job: &JobSummary, makespan: Duration) -> String {
    let completed = job.state == JobState::Completed && job.counts.unsupported == 0;
    let Some(bound) = job.lower_bound.filter(|bound| completed && !bound.is_zero()) else {
        return String::new();
    };
    let ratio = makespan.as_secs_f64() / bound.as_secs_f64();
    format!(", {ratio:.3} times the least that is estimated from a cold start ({:.2} s)", bound.as_secs_f64())
}
