//! `beacon simulate`: simulated endpoints over HTTP.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use beacon_boot::read_bounded;
use beacon_domain::SystemClock;
use beacon_simulator::{SimConfig, serve_at};
use serde_json::json;

use super::line;
use crate::args;

/// Serves until Ctrl-C.
pub(crate) async fn simulate(command: &args::Simulate, as_json: bool) -> anyhow::Result<ExitCode> {
    let text =
        String::from_utf8(read_bounded(&command.config, 4 * 1024 * 1024)?).context("not UTF-8 text")?;
    let named = || format!("{} is no simulator configuration", command.config.display());
    let config: SimConfig = beacon_boot::parse_toml(&text).map_err(anyhow::Error::msg).with_context(named)?;
    let ids: Vec<_> = config.endpoints.iter().map(|endpoint| endpoint.id.clone()).collect();
    let running = serve_at(config, command.listen, Arc::new(SystemClock::new())).await?;
    if as_json {
        let urls: Vec<_> =
            ids.iter().map(|id| json!({"endpoint": id, "url": running.endpoint_url(id)})).collect();
        line(json!({ "listening": running.addr().to_string(), "endpoints": urls }))?;
    } else {
        line(format_args!(
            "simulated endpoints on http://{}, counts at /stats, Ctrl-C ends",
            running.addr()
        ))?;
        for id in &ids {
            line(format_args!("  {id}  {}", running.endpoint_url(id).unwrap_or_default()))?;
        }
    }
    beacon_boot::interrupted().await;
    running.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
