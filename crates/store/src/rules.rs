//! What all stores decide alike: errors that follow from a state, expired leases, days.

use std::ops::Range;

use beacon_domain::{
    BatchDone, Bound, CallError, CellFilter, CellView, EndReason, ErrorCode, ExecutionState, JobEnded,
    LossReason, Page, Plan, Stage, StoreError,
};
use beacon_spec::{KeyId, Timestamp};

/// A lease that expires this often takes its workers down with it: the execution fails.
pub(crate) const MOST_EXPIRIES: u32 = 5;

/// Sums of money stop here, which is what a signed 64-bit column holds: more than nine trillion dollars.
pub(crate) const MOST_MICROS: u64 = i64::MAX as u64;

/// How many rows a page has when the caller does not say.
pub(crate) const PAGE: u32 = 50;

/// The cells that one page looks at, by their places in the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// The first of them.
    pub(crate) first: u32,
    /// Behind the last of them.
    pub(crate) end: u32,
    /// Behind the last cell that any page may look at.
    last: u32,
    limit: u32,
}

impl Window {
    /// Where a page begins and how far it looks, among the cells of `range`.
    pub(crate) fn new(filter: &CellFilter, range: Range<u32>) -> Self {
        let limit = if filter.limit == 0 { PAGE } else { filter.limit };
        let first = filter.after.map_or(0, |after| after.saturating_add(1)).max(range.start);
        let end = first.saturating_add(CellFilter::MOST_LOOKED_AT).min(range.end);
        Self { first, end, last: range.end, limit }
    }

    /// How many cells to read at most: one more than are shown tells whether there is a next page.
    pub(crate) fn rows(&self) -> u32 {
        self.limit.saturating_add(1)
    }

    /// The page, from the cells found in the window.
    pub(crate) fn page(&self, mut cells: Vec<CellView>) -> Page<CellView> {
        let full = cells.len() > self.limit as usize;
        cells.truncate(self.limit as usize);
        let seen = if full { cells.last().map(|cell| cell.n) } else { self.end.checked_sub(1) };
        let more = full || (self.first < self.end && self.end < self.last);
        Page { items: cells, next: seen.filter(|_| more).map(|seen| seen.to_string()) }
    }
}

/// Where a list over all executions goes on: the number of a job, and a place in its plan.
pub(crate) fn recent_cursor(cursor: Option<&str>) -> (i64, i32) {
    let parsed = cursor.and_then(|cursor| {
        let (job, n) = cursor.split_once('-')?;
        Some((job.parse().ok()?, n.parse().ok()?))
    });
    parsed.unwrap_or((i64::MAX, i32::MAX))
}

/// What is shown of the abandoned calls of an endpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Abandoned {
    /// Those that may still run.
    pub(crate) calls: u32,
    /// When the first of them counts no more, without those to which a worker is to re-attach.
    pub(crate) until: Option<Timestamp>,
}

/// Room that all endpoints of one claim share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedRoom {
    /// Leases that the worker still wants.
    pub(crate) worker: u32,
    /// Room under the limit over all endpoints.
    pub(crate) global: u32,
    /// Whether the day's budget is not used up.
    pub(crate) spendable: bool,
}

impl SharedRoom {
    /// A lease was given for a call that runs already.
    pub(crate) fn reattach(&mut self) {
        self.worker = self.worker.saturating_sub(1);
    }

    /// So many leases were given.
    pub(crate) fn take(&mut self, leases: u32) {
        self.worker = self.worker.saturating_sub(leases);
        self.global = self.global.saturating_sub(leases);
    }
}

/// Which limit is the tightest for an endpoint, and the room under it.
pub(crate) fn tightest(shared: SharedRoom, endpoint: u32, account: u32, wanted: u32) -> (Bound, u32) {
    if !shared.spendable {
        return (Bound::DayBudget, 0);
    }
    let limits = [
        (Bound::Endpoint, endpoint),
        (Bound::Account, account),
        (Bound::Global, shared.global),
        (Bound::Worker, wanted.min(shared.worker)),
    ];
    // The first of equals is named.
    limits.into_iter().min_by_key(|(_, room)| *room).unwrap_or((Bound::Worker, 0))
}

/// What ended along the way.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) batches: Vec<BatchDone>,
    pub(crate) jobs: Vec<JobEnded>,
    /// Whether a batch was opened: there is new work in the queue.
    pub(crate) opened: bool,
}

impl Ended {
    /// Adds it to a report.
    pub(crate) fn report(self, batches: &mut Vec<BatchDone>, jobs: &mut Vec<JobEnded>) {
        batches.extend(self.batches);
        jobs.extend(self.jobs);
    }
}

/// Days since 1970 UTC.
pub(crate) fn day(now: Timestamp) -> i64 {
    now.as_second().div_euclid(86_400)
}

/// A page of at most `limit` of these rows, which come with their numbers; one more says that there is a next page.
pub(crate) fn page<T>(mut rows: Vec<(T, i64)>, limit: u32) -> Page<T> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|(_, no)| no.to_string());
    Page { items: rows.into_iter().map(|(row, _)| row).collect(), next }
}

/// When a day begins.
pub(crate) fn day_starts(day: i64) -> Timestamp {
    Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or(Timestamp::MAX)
}

/// How many executions of a plan are to run.
pub(crate) fn to_run(plan: &Plan) -> u64 {
    plan.executions.iter().filter(|execution| execution.endpoint.is_some()).count() as u64
}

/// A token that cannot be added.
pub(crate) fn token_is_there(id: &str) -> StoreError {
    StoreError::NameTaken(format!("there is a token {id} already; make another one"))
}

/// A key that cannot be added or revoked under this id.
pub(crate) fn another_has_the_kid(kid: &KeyId) -> StoreError {
    StoreError::NameTaken(format!(
        "the key id {:?} or the key itself is there with another partner; list the keys, and name it as it is there",
        kid.as_str()
    ))
}

/// A key that cannot be trusted again.
pub(crate) fn is_revoked(kid: &KeyId) -> StoreError {
    StoreError::NameTaken(format!(
        "the key {:?} was revoked, which is for good; make a new key",
        kid.as_str()
    ))
}

/// The error of an execution that ended without an attempt of its own.
pub(crate) fn implied_error(
    state: ExecutionState,
    reason: Option<EndReason>,
    by: Option<&str>,
) -> Option<CallError> {
    let (code, message) = match (state, reason) {
        (ExecutionState::Cancelled, Some(EndReason::Budget)) => {
            (ErrorCode::BudgetExhausted, "the job's cost cap was reached".to_owned())
        }
        (ExecutionState::Cancelled, _) => (
            ErrorCode::Cancelled,
            by.map_or_else(|| "cancelled".to_owned(), |by| format!("cancelled by {by}")),
        ),
        (ExecutionState::TimedOut, _) => (ErrorCode::DeadlinePassed, "the job's deadline passed".to_owned()),
        _ => return None,
    };
    Some(CallError::new(code, Stage::Queue, message))
}

/// The error of an execution whose workers kept dying.
pub(crate) fn poison_error() -> CallError {
    let message = format!("its lease expired {MOST_EXPIRIES} times; it may take its workers down");
    CallError::new(ErrorCode::Internal, Stage::Queue, message)
}

/// The error of an execution whose job ran out of budget while it ran.
pub(crate) fn budget_error() -> CallError {
    let message = "the job's cost cap was reached before another attempt";
    CallError::new(ErrorCode::BudgetExhausted, Stage::Queue, message)
}

/// Why a lease is not held any more, from the state of its execution.
pub(crate) fn loss(state: ExecutionState) -> LossReason {
    match state {
        ExecutionState::Cancelled => LossReason::Cancelled,
        ExecutionState::TimedOut => LossReason::TimedOut,
        _ => LossReason::Reclaimed,
    }
}
