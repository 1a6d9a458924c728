//! `beacon simulate`: simulated endpoints over HTTP.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use beacon_boot::{Interrupts, read_bounded};
use beacon_domain::SystemClock;
use beacon_simulator::{Running, SimConfig, Warm, serve_at};
use serde_json::json;

use super::line;
use crate::{args, out::OutputError, simulated};

const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;

/// Serves until Ctrl-C or SIGTERM.
pub(crate) async fn simulate(command: &args::Simulate, as_json: bool) -> anyhow::Result<ExitCode> {
    let config = config(command)?;
    // Heard from here on, so that who reads the first line may end the simulator at once.
    let mut interrupts = Interrupts::listen().context("cannot listen to signals")?;
    let taken = || format!("cannot listen on {} (--listen takes another address)", command.listen);
    let running =
        serve_at(config.clone(), command.listen, Arc::new(SystemClock::new())).await.with_context(taken)?;
    if let Some(path) = &command.write_endpoints {
        refuse_to_lose(path)?;
        let text = simulated::endpoints_toml(&config, running.addr())?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    announce(command, &config, &running, as_json)?;
    interrupts.next().await;
    running.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

fn config(command: &args::Simulate) -> anyhow::Result<SimConfig> {
    let Some(path) = &command.config else { return of_cells(command) };
    let text = String::from_utf8(read_bounded(path, CONFIG_LIMIT)?);
    let text = text.with_context(|| format!("{} is not UTF-8 text", path.display()))?;
    let named = || format!("{} is no simulator configuration", path.display());
    let config: SimConfig = beacon_boot::parse_toml(&text).map_err(anyhow::Error::msg).with_context(named)?;
    config.check().with_context(named)?;
    anyhow::ensure!(!config.endpoints.is_empty(), "{} has no [[endpoint]]; add one", path.display());
    Ok(config)
}

/// A file that somebody wrote is not replaced; an earlier one of ours is.
fn refuse_to_lose(path: &Path) -> anyhow::Result<()> {
    let there = std::fs::read(path).unwrap_or_default();
    anyhow::ensure!(
        there.is_empty() || there.starts_with(simulated::HEADER.as_bytes()),
        "{} is there and was not made by --write-endpoints; name another file, or remove it",
        path.display()
    );
    Ok(())
}

fn of_cells(command: &args::Simulate) -> anyhow::Result<SimConfig> {
    let pairs = |cells: &simulated::Cells| {
        let model = cells.model.clone();
        cells.regions.clone().into_iter().map(move |region| (model.clone(), region))
    };
    let cells: Vec<_> = command.cells.iter().flat_map(pairs).collect();
    let cold =
        Duration::try_from_secs_f64(command.cold_s).context("--cold-s must be seconds, not below 0")?;
    let config = SimConfig::for_cells(&cells, cold, Warm::FixedS(command.warm_s));
    config.check().context("--cells cannot be simulated")?;
    Ok(config)
}

/// Says where everything is. From then on calls are answered.
fn announce(
    command: &args::Simulate,
    config: &SimConfig,
    running: &Running,
    as_json: bool,
) -> Result<(), OutputError> {
    let addr = running.addr();
    let url = |id| running.endpoint_url(id).unwrap_or_default();
    let ids = config.endpoints.iter().map(|endpoint| &endpoint.id);
    if as_json {
        let endpoints: Vec<_> = ids.map(|id| json!({ "endpoint": id, "url": url(id) })).collect();
        return line(json!({
            "listening": addr.to_string(), "stats_url": format!("http://{addr}/stats"),
            "endpoints_file": command.write_endpoints, "endpoints": endpoints,
        }));
    }
    line(format_args!("simulated endpoints on http://{addr}, counts at http://{addr}/stats, Ctrl-C ends"))?;
    for id in ids {
        line(format_args!("  {id}  {}", url(id)))?;
    }
    if let Some(path) = &command.write_endpoints {
        line(format_args!("call them with: beacon run JOB --endpoints {}", path.display()))?;
    }
    Ok(())
}
