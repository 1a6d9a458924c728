//! `beacon submit`: a signed job to a server, as its bytes are.

use std::process::ExitCode;

use beacon_boot::read_bounded;
use beacon_client::{Submitted, Unserved};
use beacon_spec::limits::MAX_SPEC_BYTES;

use super::{line, watch::follow};
use crate::{args, server, server::Server};

/// Submits a job, and watches it if that was asked for.
pub(crate) async fn submit(command: &args::Submit, as_json: bool) -> anyhow::Result<ExitCode> {
    let bytes = read_bounded(&command.job, MAX_SPEC_BYTES as u64)?;
    let server = server::on_signed(&command.on, &command.signed)?;
    let unserved = if command.accept_unsupported { Unserved::Accept } else { Unserved::Refuse };
    let submitted = server.as_asked(|| server.client.submit(bytes.clone(), unserved)).await?;
    tell(&server, &submitted, as_json)?;
    if command.watch { follow(&server, submitted.job_id, as_json).await } else { Ok(ExitCode::SUCCESS) }
}

fn tell(server: &Server, submitted: &Submitted, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return Ok(line(serde_json::to_string(submitted)?)?);
    }
    let Submitted { job_id, name, state, executions, .. } = submitted;
    if submitted.idempotent {
        line(format_args!("job {name} was there before: {state}"))?;
    } else {
        let deadline = submitted.deadline.map_or_else(String::new, |deadline| format!(", until {deadline}"));
        line(format_args!("accepted job {name}: {executions} executions{deadline}"))?;
    }
    Ok(line(format_args!("  watch it: `beacon watch {} --server {}`", job_id.short(), server.url))?)
}
