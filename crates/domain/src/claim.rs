//! Claiming work: what a worker has room for, and what it gets.

use std::time::Duration;

use beacon_spec::{QuestionId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{AccountId, EndpointId, JobId, Lease, WorkerId};

/// A worker's request for work. The store gives at most this much and keeps every limit (S1).
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who asks.
    pub worker: WorkerId,
    /// Endpoints this worker may call, with what it has room for.
    pub rooms: Vec<Room>,
    /// Limits of provider accounts.
    pub accounts: Vec<AccountLimit>,
    /// The most calls in flight over everything, if limited.
    pub global_limit: Option<u32>,
    /// The most leases wanted in all.
    pub at_most: u32,
    /// How long the leases last.
    pub lease: Duration,
    /// The longest that one call may take. An abandoned call that can be found again counts so long, unless it is.
    pub longest_call: Duration,
    /// The most that may be spent per UTC day, if capped.
    pub day_budget: Option<DayBudget>,
    /// The caller's time.
    pub now: Timestamp,
}

/// Room on one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The most leases wanted for it now.
    pub free: u32,
    /// Its limit: live leases and abandoned calls over all workers never exceed it, unless an operator has set another one.
    pub limit: u32,
    /// The highest limit that an operator may set.
    pub most: u32,
    /// The account it belongs to, if that is limited.
    pub account: Option<AccountId>,
    /// How long the endpoint may go on with an abandoned call.
    pub linger: Duration,
    /// What this worker sees of it; stored so that views can say why executions wait (S11).
    pub gate: Gate,
}

/// Whether a worker lets calls through to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "gate")]
pub enum Gate {
    /// Up to its limit.
    Open,
    /// Cold: one call goes ahead alone.
    Cold,
    /// Throttled by the endpoint until then.
    Throttled {
        /// When it opens.
        until: Timestamp,
    },
    /// Failing: closed until then, then one call goes ahead alone.
    Broken {
        /// When it is tried again.
        until: Timestamp,
    },
}

/// The limit of one provider account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLimit {
    /// The account.
    pub account: AccountId,
    /// Calls in flight over all its endpoints.
    pub limit: u32,
}

/// A spending cap per UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayBudget {
    /// Millionths of a dollar.
    pub cap_micros: u64,
}

/// What a claim got.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// The leases, at most as many as asked.
    pub leases: Vec<Lease>,
    /// Batches whose first execution is among them.
    pub started: Vec<BatchStarted>,
    /// When the next back-off of a waiting execution ends, if none is ready sooner.
    pub next_ready_at: Option<Timestamp>,
}

/// A question batch has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchStarted {
    /// The job.
    pub job: JobId,
    /// The question.
    pub question: QuestionId,
    /// The batch's number, from 1.
    pub number: u32,
    /// How many batches the job has.
    pub total: u32,
    /// Executions of this batch.
    pub executions: u32,
    /// Time since the batch before it was done, if there was one and it was done before.
    pub gap: Option<Duration>,
}
