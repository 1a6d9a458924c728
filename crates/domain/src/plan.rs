//! The frozen plan of a job: every execution, in order, before anything runs (P8, L1).

use std::sync::Arc;

use beacon_spec::{ModelId, Question, Region, Sampling};

use crate::{Batching, EndpointId};

/// All executions of a job. `executions[n]` has the id `n`; they are ordered by batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// How batches follow each other.
    pub batching: Batching,
    /// One per question, in order.
    pub batches: Vec<PlannedBatch>,
    /// Every cell.
    pub executions: Vec<PlannedExecution>,
    /// The parameters of every call.
    pub sampling: Sampling,
}

/// One question of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBatch {
    /// The question with its text.
    pub question: Question,
    /// How many executions it has.
    pub executions: u32,
}

/// One cell of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedExecution {
    /// Index into [`Plan::batches`].
    pub batch: u32,
    /// The model asked.
    pub model: ModelId,
    /// The region asked.
    pub region: Region,
    /// The repetition, from 1.
    pub run: u32,
    /// Who serves it; `None` makes it `unsupported` from the start.
    pub endpoint: Option<EndpointId>,
}

impl Plan {
    /// The text sent for this execution.
    ///
    /// # Panics
    /// If the execution is not of this plan.
    #[must_use]
    pub fn prompt(&self, execution: &PlannedExecution) -> &Arc<str> {
        &self.batches[execution.batch as usize].question.text
    }
}
