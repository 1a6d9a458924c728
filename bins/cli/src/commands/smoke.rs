//! `beacon smoke`: one small signed job through a server, and all that comes back checked.

mod checklist;
mod evidence;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use beacon_client::{ClientError, Unserved};
use beacon_domain::{Clock, JobId};
use beacon_spec::{Profile, SignOptions, SignedText, SigningKey, random_nonce, sign_text};
use serde_json::{Value, json};

use self::{
    checklist::{Check, checklist},
    evidence::Evidence,
};
use super::{
    keys, line, remark,
    verify::records::signed_by,
    watch::{Watched, until_end},
};
use crate::{
    args, exit,
    server::{self, Server},
};

/// One question, three models, three regions.
const JOB: &str = include_str!("../../../../examples/unsigned/three-models.json");
/// Its secret is published; services refuse to trust it, test servers may.
const EXAMPLE_KEY: &str = include_str!("../../../../examples/EXAMPLE-ONLY.key");
/// A worker closes a job soon after its end.
const CLOSE_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Submits the job, watches it to its end, and prints what holds.
pub(crate) async fn smoke(command: &args::Smoke, as_json: bool) -> anyhow::Result<ExitCode> {
    let key = match &command.key {
        Some(file) => keys::secret(file)?,
        None => SigningKey::from_seed_base64(EXAMPLE_KEY.trim()).context("the example key")?,
    };
    let check = signed_by(command.runner_key.as_deref())?;
    let server = server::on(&command.on)?;
    let signed = sign(&key, server.clock.as_ref())?;
    let submit = || server.client.submit(signed.bytes.clone(), Unserved::Refuse);
    let submitted = match server.as_asked(submit).await {
        Err(error) if command.key.is_none() && is_distrust(&error) => {
            return Err(anyhow::Error::new(error).context(
                "the server does not trust the published example key, as it should be; \
                 give a key that it trusts as --key FILE (`beacon keygen` makes one)",
            ));
        }
        submitted => submitted?,
    };
    let job = submitted.job_id;
    remark(format_args!("job {} ({}) was accepted", submitted.name, job.short()));
    if let Watched::Stopped = until_end(&server, job).await? {
        remark(format_args!(
            "stopped; the job goes on: `beacon watch {} --server {}`",
            job.short(),
            server.url
        ));
        return Ok(ExitCode::from(exit::STOPPED));
    }
    await_close(&server, job).await?;
    let evidence = server.patiently(|| Evidence::gather(&server, &signed, &submitted, check.clone())).await?;
    tell(&evidence, &checklist(&evidence), as_json)
}

/// The job under a new id, nonce and time.
fn sign(key: &SigningKey, clock: &dyn Clock) -> anyhow::Result<SignedText> {
    let now = clock.now();
    let mut job: Value = serde_json::from_str(JOB).context("the job of the smoke test")?;
    job["id"] = json!(format!("smoke-{}-{}", now.as_microsecond(), std::process::id()));
    job["created_at"] = json!(now);
    let options = SignOptions { timestamp: Some(now), nonce: Some(random_nonce()), refresh: true };
    Ok(sign_text(job.to_string().as_bytes(), key, Profile::Jcs, &options)?)
}

fn is_distrust(error: &ClientError) -> bool {
    error.refusal().is_some_and(|refusal| refusal.code.starts_with("trust_violation"))
}

/// Returns when the close is there, or when it is not to be expected any more; the checklist says which.
async fn await_close(server: &Server, job: JobId) -> Result<(), ClientError> {
    let until = server.clock.monotonic() + CLOSE_WITHIN;
    while server.clock.monotonic() < until {
        match server.patiently(|| server.client.close(job)).await {
            Err(error) if error.refusal().is_some_and(|refusal| refusal.code == "not_closed") => {
                server.clock.sleep_until(server.clock.monotonic() + LOOK_EVERY).await;
            }
            closed => return closed.map(drop),
        }
    }
    Ok(())
}

fn tell(evidence: &Evidence, checks: &[Check], as_json: bool) -> anyhow::Result<ExitCode> {
    let failed = checks.iter().filter(|check| check.found.is_err()).count();
    if as_json {
        let each = |check: &Check| {
            let (Ok(found) | Err(found)) = &check.found;
            json!({ "check": check.what, "holds": check.found.is_ok(), "found": found })
        };
        let checks: Vec<Value> = checks.iter().map(each).collect();
        line(json!({ "job_id": evidence.job.job.id, "holds": failed == 0, "checks": checks }))?;
    } else {
        for check in checks {
            let (mark, found) = match &check.found {
                Ok(found) => ("ok  ", found),
                Err(found) => ("FAIL", found),
            };
            line(format_args!("{mark}  {:<44} {}", check.what, beacon_boot::harmless(found)))?;
        }
        line(match failed {
            0 => format!("all {} hold", checks.len()),
            _ => format!("{failed} of {} do not hold", checks.len()),
        })?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::NOT_ALL_COMPLETED) })
}
