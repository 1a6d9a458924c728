//! `beacon plan`: what would run.

use std::{process::ExitCode, time::Duration};

use beacon_domain::{EndpointInfo, Plan};
use beacon_scheduler::{EndpointCatalog, Estimate, estimate};

use super::{line, remark};
use crate::{args, job_file, simulated};

/// Questions printed.
const MOST_QUESTIONS: usize = 20;

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
    beacon_scheduler::time_limit(&spec, estimate.lower_bound, Duration::MAX)?;
    if json {
        line(serde_json::to_string(&estimate)?)?
    } else {
        print(&estimate)?;
        questions(&plan)?
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

/// What will be asked: an id of the catalogue stands for its text, anything else is asked as it is.
fn questions(plan: &Plan) -> anyhow::Result<()> {
    for (n, batch) in plan.batches.iter().enumerate().take(MOST_QUESTIONS) {
        let text: String =
            batch.question.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        line(format_args!("  {:>3}. {}: {text}", n + 1, batch.question.id))?;
    }
    if plan.batches.len() > MOST_QUESTIONS {
        line(format_args!("       and {} more questions", plan.batches.len() - MOST_QUESTIONS))?;
    }
    Ok(())
}

fn print(estimate: &Estimate) -> anyhow::Result<()> {
    line(format_args!("{} executions in {} question batches", estimate.executions, estimate.batches))?;
    if estimate.unsupported > 0 {
        line(format_args!("{} of them are served by no endpoint", estimate.unsupported))?;
    }
    let width =
        estimate.endpoints.iter().map(|load| load.endpoint.as_str().chars().count()).max().unwrap_or(0);
    for load in &estimate.endpoints {
        let bound = load.lower_bound.map_or_else(String::new, |bound| format!(", at least {bound:.1?}"));
        line(format_args!(
            "  {:<width$} {:>6} executions, {} at once{bound}",
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
