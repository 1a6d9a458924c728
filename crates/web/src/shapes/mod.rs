//! What answers look like: one type per noun, from which both the JSON and the OpenAPI document are made. Fields keep
//! their names; new ones may come.

mod cell;
mod delivery;
mod endpoint;
mod execution;
mod job;
pub(crate) mod names;
mod plan;
mod record;
mod waiting;

pub(crate) use cell::Cell;
pub(crate) use delivery::Deliveries;
pub(crate) use endpoint::{Endpoints, Models, Regions, gate_name};
pub(crate) use execution::{Execution, Executions};
pub(crate) use job::{Batch, Job, JobAnswer, JobProgress, Jobs};
pub(crate) use plan::{Accepted, Links, Planned};
pub(crate) use record::Record;
pub(crate) use waiting::{Explanation, Waiting};
