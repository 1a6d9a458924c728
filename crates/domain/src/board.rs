//! The board: what runs and what waits, in pages of bounded size, inside one job and over all jobs.

use async_trait::async_trait;
use beacon_spec::{ModelId, QuestionId, Region, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, BatchView, Bound, CellView, EndpointId, EndpointLatency, ExecutionId, ExecutionState, Gate,
    JobId, Page, StoreError,
};

/// Reading beyond one job's summary. No method reads more than a bounded number of rows, however large a job is.
#[async_trait]
pub trait Board: Send + Sync {
    /// The cells of a job that the filter wants, in the order of the plan. One page looks at no more than
    /// [`CellFilter::MOST_LOOKED_AT`] cells, so it may be short, or empty, and still have a next one.
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`].
    async fn cells(&self, job: JobId, filter: CellFilter) -> Result<Page<CellView>, StoreError>;

    /// The question batches of a job, in order.
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`].
    async fn batches(&self, job: JobId) -> Result<Vec<BatchView>, StoreError>;

    /// Executions over all jobs: those of the newest job first, each job from the end of its plan. At most `limit`, or 50
    /// for 0, behind where the page before ended.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn recent(&self, cursor: Option<String>, limit: u32) -> Result<Page<ExecutionLine>, StoreError>;

    /// Every endpoint that a job was planned for or a worker has claimed for, in order of id. Abandoned calls are those that
    /// may still run at `now`.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn endpoints(&self, now: Timestamp) -> Result<Vec<EndpointStatus>, StoreError>;

    /// How long endpoints took for the answers among the newest [`EndpointLatency::MOST_LOOKED_AT`] results, in order of id.
    /// An endpoint without one is not there.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn latencies(&self) -> Result<Vec<EndpointLatency>, StoreError>;
}

/// Which cells of a job to list; what is `None` or empty is not asked for.
#[derive(Debug, Clone, Default)]
pub struct CellFilter {
    /// Only cells in one of these states.
    pub states: Vec<ExecutionState>,
    /// Only cells of this question.
    pub question: Option<QuestionId>,
    /// Only cells of this model.
    pub model: Option<ModelId>,
    /// Only cells of this region.
    pub region: Option<Region>,
    /// Only cells that this endpoint serves.
    pub endpoint: Option<EndpointId>,
    /// Where the page before ended.
    pub after: Option<u32>,
    /// The most cells; 0 means 50.
    pub limit: u32,
}

impl CellFilter {
    /// The most cells that one page looks at to find those that it wants.
    pub const MOST_LOOKED_AT: u32 = 50_000;

    /// Whether it wants this cell, wherever it stands.
    #[must_use]
    pub fn wants(&self, cell: &CellView) -> bool {
        (self.states.is_empty() || self.states.contains(&cell.state))
            && self.question.as_ref().is_none_or(|question| *question == cell.question)
            && self.model.as_ref().is_none_or(|model| *model == cell.model)
            && self.region.is_none_or(|region| region == cell.region)
            && (self.endpoint.is_none() || self.endpoint == cell.endpoint)
    }
}

/// One execution in a list over all jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionLine {
    /// Its id.
    pub id: ExecutionId,
    /// What it is and where it stands.
    pub cell: CellView,
}

/// How an endpoint stands, over all jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The account that pays for it, if a worker named one.
    pub account: Option<AccountId>,
    /// What a worker last said of it, if one did.
    pub gate: Option<Gate>,
    /// What kept the last claim from taking more for it, if anything did.
    pub bound: Option<Bound>,
    /// Its limit as last used, if known.
    pub limit: Option<u32>,
    /// What counts against its limit: live leases and abandoned calls.
    pub in_flight: u32,
    /// Of these, calls that nobody waits for any more and that may still run there.
    pub abandoned: u32,
    /// When the first of them counts no more. Those to which a worker is to re-attach are left out: how long they take from
    /// then on is not known.
    pub abandoned_until: Option<Timestamp>,
    /// Executions that may be claimed or wait for a retry, counted up to [`EndpointStatus::MOST_WAITING`].
    pub waiting: u32,
}

impl EndpointStatus {
    /// Where counting what waits stops.
    pub const MOST_WAITING: u32 = 10_000;
}
