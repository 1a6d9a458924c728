//! Planning: a verified spec becomes a frozen list of executions, and an estimate that can be shown before a run.

mod estimate;
mod inference;

pub use estimate::{EndpointLoad, Estimate, estimate};
pub use inference::{PlanError, PlanOptions, Unserved, plan};
