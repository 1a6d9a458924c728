//! The inference workload: questions × models × regions × runs, question by question.

use std::collections::HashSet;

use beacon_domain::{Batching, Plan, PlannedBatch, PlannedExecution};
use beacon_spec::{JobSpec, ModelId, QuestionId, Region};

use crate::EndpointCatalog;

/// What the caller decides about a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// How questions follow each other.
    pub batching: Batching,
    /// What becomes of cells that no endpoint serves.
    pub unserved: Unserved,
    /// Only these cells, to try a part of a job again.
    pub only: Option<HashSet<(QuestionId, ModelId, Region, u32)>>,
}

/// What becomes of cells that no endpoint serves (P9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unserved {
    /// The job is refused.
    #[default]
    Refuse,
    /// The cell is accepted as `unsupported`, a terminal state that is not a failure.
    Accept,
}

/// A spec that cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Cells that nobody serves.
    #[error(
        "no endpoint serves {cells}; add one to the endpoints file, or accept the cells as unsupported \
         (--accept-unsupported)"
    )]
    Unserved {
        /// The first few of them.
        cells: String,
    },
    /// Nothing is left to run.
    #[error("the plan is empty: nothing is left to run")]
    Empty,
}

/// Freezes a job into executions, ordered by question, then model, region and run.
///
/// # Errors
/// A cell is served by no endpoint and [`Unserved::Refuse`] is asked, or nothing is left to run.
pub fn plan(spec: &JobSpec, catalog: &EndpointCatalog, options: &PlanOptions) -> Result<Plan, PlanError> {
    let mut batches = Vec::new();
    let mut executions = Vec::new();
    for question in &spec.questions {
        let before = executions.len();
        let batch = u32::try_from(batches.len()).expect("the spec's limits keep questions below 2^32");
        executions.extend(cells(spec, catalog, options, &question.id, batch));
        let added = executions.len() - before;
        if added > 0 {
            let count = u32::try_from(added).expect("the spec's limits keep executions below 2^32");
            batches.push(PlannedBatch { question: question.clone(), executions: count });
        }
    }
    if executions.is_empty() {
        return Err(PlanError::Empty);
    }
    if options.unserved == Unserved::Refuse {
        refuse_unserved(&executions)?;
    }
    Ok(Plan { batching: options.batching, batches, executions, sampling: spec.sampling })
}

fn cells<'a>(
    spec: &'a JobSpec,
    catalog: &'a EndpointCatalog,
    options: &'a PlanOptions,
    question: &'a QuestionId,
    batch: u32,
) -> impl Iterator<Item = PlannedExecution> + 'a {
    let asked =
        spec.models.iter().flat_map(|model| model.regions.iter().map(move |region| (&model.id, *region)));
    let cells = asked.flat_map(move |(model, region)| (1..=spec.runs).map(move |run| (model, region, run)));
    let wanted = move |model: &ModelId, region: Region, run: u32| {
        let cell = || (question.clone(), model.clone(), region, run);
        options.only.as_ref().is_none_or(|only| only.contains(&cell()))
    };
    cells.filter(move |(model, region, run)| wanted(model, *region, *run)).map(move |(model, region, run)| {
        let endpoint = catalog.serving(model, region).map(|endpoint| endpoint.id.clone());
        PlannedExecution { batch, model: model.clone(), region, run, endpoint }
    })
}

fn refuse_unserved(executions: &[PlannedExecution]) -> Result<(), PlanError> {
    let mut cells: Vec<String> = Vec::new();
    for execution in executions.iter().filter(|execution| execution.endpoint.is_none()) {
        let cell = format!("{} in {}", execution.model, execution.region);
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    if cells.is_empty() { Ok(()) } else { Err(PlanError::Unserved { cells: cells.join(", ") }) }
}
