//! `beacon pause` and `resume`.

use std::process::ExitCode;

use beacon_boot::{Access, Runtime};
use beacon_domain::{AuditEntry, COMMAND_LINE, JobId, Steered};
use beacon_spec::JobName;
use serde_json::json;

use super::{jobs::find, line};
use crate::{args::Steer, database, server};

/// Stops claims of one job.
pub(crate) async fn pause(command: &Steer, as_json: bool) -> anyhow::Result<ExitCode> {
    let Steer { job: command, signed } = command;
    if let Some(server) = server::to_steer(&command.on, signed)? {
        let job = server.find(&command.job).await?;
        return tell(job.id, &job.name, &server.client.pause(job.id).await?, as_json);
    }
    let runtime = database::open(&command.database, Access::Shared).await?;
    let job = find(runtime.view.as_ref(), &command.job).await?;
    note(&runtime, "job.pause", &job.id).await?;
    let steered = runtime.operations.pause(job.id, COMMAND_LINE.to_owned(), runtime.clock.now()).await?;
    tell(job.id, &job.name, &steered, as_json)
}

/// Lets one job go on.
pub(crate) async fn resume(command: &Steer, as_json: bool) -> anyhow::Result<ExitCode> {
    let Steer { job: command, signed } = command;
    if let Some(server) = server::to_steer(&command.on, signed)? {
        let job = server.find(&command.job).await?;
        return tell(job.id, &job.name, &server.client.resume(job.id).await?, as_json);
    }
    let runtime = database::open(&command.database, Access::Shared).await?;
    let job = find(runtime.view.as_ref(), &command.job).await?;
    note(&runtime, "job.resume", &job.id).await?;
    let steered = runtime.operations.resume(job.id, runtime.clock.now()).await?;
    tell(job.id, &job.name, &steered, as_json)
}

/// Enters into the audit trail what is about to be done to a job beside the API.
pub(crate) async fn note(runtime: &Runtime, action: &str, job: &JobId) -> anyhow::Result<()> {
    let entry = AuditEntry {
        at: runtime.clock.now(),
        who: COMMAND_LINE.to_owned(),
        action: action.to_owned(),
        subject: job.to_string(),
        detail: None,
        request_id: None,
    };
    Ok(runtime.operations.note(entry).await?)
}

fn tell(id: JobId, name: &JobName, steered: &Steered, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        line(json!({
            "job_id": id, "state": steered.state, "changed": steered.changed, "paused": steered.paused,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    match (&steered.paused, steered.changed) {
        _ if steered.state.is_terminal() => {
            line(format_args!("job {name} had already ended: {}", steered.state))?;
        }
        (Some(_), true) => {
            line(format_args!("paused job {name}: calls in flight go on, and so does its deadline"))?;
        }
        (Some(paused), false) => {
            line(format_args!("job {name} was already paused by {} at {}", paused.by, paused.at))?;
        }
        (None, true) => line(format_args!("resumed job {name}"))?,
        (None, false) => line(format_args!("job {name} was not paused"))?,
    }
    Ok(ExitCode::SUCCESS)
}
