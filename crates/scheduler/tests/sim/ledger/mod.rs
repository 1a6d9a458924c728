//! An independent book of the run: what the store was asked, what it answered and what the endpoints saw. Every
//! invariant is checked against it, after every step.

mod calls;
mod claims;
mod ending;
mod rows;
mod writes;

pub(crate) use calls::{Call, Calls};
pub(crate) use ending::{Final, sum};

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use beacon_domain::{
    Acceptance, AttemptId, Batching, EndpointId, ExecutionId, ExecutionState, JobId, JobState, LeaseKey,
    StateCounts,
};
use beacon_spec::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::history::{Event, Violation, Who};

/// The book.
pub(crate) struct Ledger {
    /// Every step.
    pub(crate) history: Vec<Event>,
    /// The first invariant that did not hold.
    pub(crate) violation: Option<Violation>,
    /// Cancelled with the first violation.
    pub(crate) broken: CancellationToken,
    pub(crate) calls: Calls,
    /// Executions by how they ended.
    pub(crate) outcomes: StateCounts,
    /// Whether no fault of this run excuses an endpoint with too much work.
    pub(crate) strict: bool,
    origin: Instant,
    jobs: BTreeMap<JobId, Job>,
    /// Leases that the store holds to be live.
    leases: BTreeMap<ExecutionId, Live>,
    /// Leases that the store holds no more.
    ended: BTreeMap<LeaseKey, Ended>,
    /// The highest fencing token of each execution.
    tokens: BTreeMap<ExecutionId, u64>,
    /// Durable resume tokens.
    resumes: BTreeMap<ExecutionId, String>,
    /// Writes that the store took: lease and attempt.
    taken: BTreeSet<(LeaseKey, u32)>,
    /// Leases under which a resume token was made durable.
    saved: BTreeSet<LeaseKey>,
    /// Attempts that a shutdown gave back before anything was durable; their number is used again.
    given_back: BTreeSet<AttemptId>,
    /// Millionths of a dollar. No run is longer than its day.
    spent: u64,
}

struct Job {
    /// From 0, in the order of acceptance.
    place: usize,
    batching: Batching,
    deadline: Timestamp,
    cost_cap: Option<u64>,
    cost: u64,
    state: JobState,
    closed: bool,
    paused: bool,
    cells: Vec<Cell>,
}

struct Cell {
    batch: u32,
    endpoint: Option<EndpointId>,
    state: ExecutionState,
    not_before: Option<Timestamp>,
    attempts: u32,
    /// Terminal results that were taken.
    results: u32,
}

/// A live lease.
#[derive(Debug, Clone)]
struct Live {
    who: Who,
    token: u64,
    attempt: u32,
    endpoint: EndpointId,
    until: Timestamp,
    claimed_at: Instant,
}

/// A lease that ended.
#[derive(Debug, Clone)]
struct Ended {
    at: Instant,
    cause: Cause,
    lease: Live,
}

/// Why a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    Recorded,
    GivenBack,
    Expired,
    Cancelled,
    Deadline,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            history: Vec::new(),
            violation: None,
            broken: CancellationToken::new(),
            calls: Calls::default(),
            outcomes: StateCounts::default(),
            strict: false,
            origin: Instant::now(),
            jobs: BTreeMap::new(),
            leases: BTreeMap::new(),
            ended: BTreeMap::new(),
            tokens: BTreeMap::new(),
            resumes: BTreeMap::new(),
            taken: BTreeSet::new(),
            saved: BTreeSet::new(),
            given_back: BTreeSet::new(),
            spent: 0,
        }
    }

    /// Time since the run began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Writes a step down.
    pub(crate) fn step(&mut self, who: Who, what: &'static str, about: Option<ExecutionId>, number: u64) {
        if self.violation.is_some() {
            // What the end of the run tears down is no part of it.
            return;
        }
        let about = about.map(|execution| (self.place(execution.job), execution.n));
        self.history.push(Event { at: self.elapsed(), who, what, about, number });
        self.strays_are_dropped_in_time();
    }

    /// The jobs that were accepted.
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        self.jobs.keys().copied().collect()
    }

    /// Whether every accepted job has ended and is closed.
    pub(crate) fn all_closed(&self) -> bool {
        self.jobs.values().all(|job| job.closed)
    }

    /// The jobs that are not closed, and where they stand.
    pub(crate) fn open_jobs(&self) -> String {
        let open = self.jobs.values().filter(|job| !job.closed);
        open.map(|job| format!("job {} is {}; ", job.place, job.state)).collect()
    }

    /// An invariant: the first that does not hold ends the run.
    pub(crate) fn must(&mut self, holds: bool, invariant: &'static str, detail: impl FnOnce() -> String) {
        if holds || self.violation.is_some() {
            return;
        }
        let step = self.history.len();
        self.violation = Some(Violation { step, invariant, detail: detail() });
        self.broken.cancel();
    }

    /// A job was accepted, maybe again.
    pub(crate) fn accepted(&mut self, accepted: NewJob) {
        let place = self.jobs.len();
        let known = self.jobs.contains_key(&accepted.id);
        self.must(known != accepted.new, "P11: the same bytes are one job", || format!("{}", accepted.id));
        if !accepted.new {
            return;
        }
        let job = Job {
            place,
            batching: accepted.batching,
            deadline: accepted.deadline,
            cost_cap: accepted.cost_cap,
            cost: 0,
            state: JobState::Queued,
            closed: false,
            paused: false,
            cells: accepted.cells.into_iter().map(Cell::planned).collect(),
        };
        self.jobs.insert(accepted.id, job);
        self.step(Who::CLIENT, "accepted", None, place as u64);
    }

    fn place(&self, job: JobId) -> usize {
        self.jobs.get(&job).map_or(usize::MAX, |job| job.place)
    }

    fn cell(&self, execution: ExecutionId) -> Option<&Cell> {
        self.jobs.get(&execution.job)?.cells.get(execution.n as usize)
    }

    fn is_live(&self, key: LeaseKey) -> bool {
        self.leases.get(&key.execution).is_some_and(|lease| lease.token == key.token)
    }

    /// A lease that the store holds no more.
    fn end_lease(&mut self, execution: ExecutionId, cause: Cause) {
        if let Some(lease) = self.leases.remove(&execution) {
            let key = LeaseKey { execution, token: lease.token };
            self.ended.insert(key, Ended { at: Instant::now(), cause, lease });
        }
    }

    fn name(&self, execution: ExecutionId) -> String {
        format!("job {} execution {}", self.place(execution.job), execution.n)
    }
}

/// What acceptance wrote.
pub(crate) struct NewJob {
    id: JobId,
    new: bool,
    batching: Batching,
    deadline: Timestamp,
    cost_cap: Option<u64>,
    cells: Vec<(u32, Option<EndpointId>)>,
}

impl NewJob {
    /// Before the store has it.
    pub(crate) fn of(acceptance: &Acceptance) -> Self {
        let cells = acceptance.plan.executions.iter();
        Self {
            id: acceptance.job,
            new: false,
            batching: acceptance.plan.batching,
            deadline: acceptance.deadline,
            cost_cap: acceptance.cost_cap_micros,
            cells: cells.map(|cell| (cell.batch, cell.endpoint.clone())).collect(),
        }
    }

    /// What the store said.
    pub(crate) fn was_new(self, new: bool) -> Self {
        Self { new, ..self }
    }

    pub(crate) fn id(&self) -> JobId {
        self.id
    }
}

impl Cell {
    fn planned((batch, endpoint): (u32, Option<EndpointId>)) -> Self {
        // What the store makes of it is seen at the first look, which may be any first state.
        let state = match endpoint {
            Some(_) => ExecutionState::Blocked,
            None => ExecutionState::Unsupported,
        };
        Self { batch, endpoint, state, not_before: None, attempts: 0, results: 0 }
    }
}
