//! `beacon plan`: what would run.

use std::process::ExitCode;

use beacon_domain::EndpointInfo;
use beacon_scheduler::{EndpointCatalog, Estimate, estimate};

use super::{line, remark};
use crate::{args, job_file, simulated};

/// Shows a job's plan.
pub(crate) fn plan(command: &args::Plan, json: bool) -> anyhow::Result<ExitCode> {
    let spec = job_file::load(&command.file)?;
    let infos: Vec<EndpointInfo> = match &command.file.endpoints {
        Some(path) => infos(&beacon_boot::load_endpoints(path)?)?,
        None => simulated::infos(spec.spec())?,
    };
    let catalog = EndpointCatalog::new(infos)?;
    let plan = job_file::plan(&command.file, &spec, &catalog)?;
    let estimate = estimate(&plan, &catalog);
    if json {
        line(serde_json::to_string(&estimate)?)?
    } else {
        print(&estimate)?
    }
    Ok(ExitCode::SUCCESS)
}

/// The endpoints of a file, checked as for a run. A plan calls nothing and needs no credentials.
fn infos(file: &beacon_boot::EndpointsFile) -> anyhow::Result<Vec<EndpointInfo>> {
    let (infos, unset) = beacon_boot::describe_endpoints(file)?;
    if !unset.is_empty() {
        remark(format_args!(
            "note: a run needs environment variables that are not set: {}",
            unset.join(", ")
        ));
    }
    Ok(infos)
}

fn print(estimate: &Estimate) -> anyhow::Result<()> {
    line(format_args!("{} executions in {} question batches", estimate.executions, estimate.batches))?;
    if estimate.unsupported > 0 {
        line(format_args!("{} of them are served by no endpoint", estimate.unsupported))?;
    }
    for load in &estimate.endpoints {
        let bound = load.lower_bound.map_or_else(String::new, |bound| format!(", at least {bound:.1?}"));
        line(format_args!(
            "  {:<32} {:>6} executions, {} at once{bound}",
            load.endpoint, load.executions, load.limit
        ))?;
    }
    match estimate.lower_bound {
        Some(bound) => line(format_args!("at least {bound:.1?} when every endpoint starts cold"))?,
        None => line("no estimate: give every endpoint a `timing`")?,
    }
    if let Some(micros) = estimate.cost_micros.filter(|micros| *micros > 0) {
        line(format_args!("about ${:.4} when warm", micros as f64 / 1e6))?;
    }
    Ok(())
}
