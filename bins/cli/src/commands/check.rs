//! `beacon check`: probe the endpoints and explain.

use std::{process::ExitCode, sync::Arc, time::Duration};

use beacon_boot::load_endpoints;
use beacon_domain::{Clock, SystemClock};
use serde_json::json;

use super::line;
use crate::{args, exit};

const LIMIT: Duration = Duration::from_secs(30);

/// Probes every endpoint, all at once.
pub(crate) async fn check(command: &args::Check, as_json: bool) -> anyhow::Result<ExitCode> {
    let file = load_endpoints(&command.endpoints)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let backends = beacon_boot::build_backends(&file, Arc::clone(&clock))?;
    let deadline = clock.monotonic() + LIMIT;
    let probes =
        backends.iter().map(|backend| async move { (backend.describe(), backend.probe(deadline).await) });
    let mut good = true;
    for (endpoint, report) in futures::future::join_all(probes).await {
        good &= report.ok();
        if as_json {
            line(json!({ "endpoint": endpoint.id, "ok": report.ok(), "findings": report.findings }))?;
            continue;
        }
        line(format_args!("{} {}", if report.ok() { "ok  " } else { "FAIL" }, endpoint.id))?;
        for finding in &report.findings {
            let mark = if finding.ok { "ok  " } else { "FAIL" };
            line(format_args!("     {mark} {:<9} {}: {}", finding.purpose, finding.url, finding.detail))?;
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(exit::BAD_INPUT) })
}
