//! Why an execution waits (S11).

use beacon_spec::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CellView, EndpointView, ExecutionState, Gate, JobSummary};

/// What kept the last claim from taking more work for an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The endpoint's limit of calls in flight.
    Endpoint,
    /// An operator drains the endpoint.
    Drain,
    /// The limit of the account that pays for it.
    Account,
    /// The limit over all endpoints.
    Global,
    /// The spending cap of the day.
    DayBudget,
    /// The worker had no room left for it.
    Worker,
}

/// Why an execution waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "waits_for")]
pub enum WaitReason {
    /// A resume: the job is paused.
    Paused,
    /// The question before it is not done.
    Batch,
    /// The back-off after a failed attempt.
    Retry {
        /// When it ends.
        at: Timestamp,
    },
    /// The first answer of a cold endpoint (S8).
    ColdProbe,
    /// The endpoint asked for a pause.
    Throttled {
        /// When it ends.
        until: Timestamp,
    },
    /// The endpoint keeps failing (S9).
    Breaker {
        /// When it is tried again.
        until: Timestamp,
    },
    /// A limit or a budget.
    Limit {
        /// Which.
        bound: Bound,
    },
    /// Calls that nobody waits for any more, and that may still run at the endpoint.
    Abandoned {
        /// How many.
        calls: u32,
        /// When the first of them counts no more, if that is known. A slot may be free sooner, when another call ends.
        until: Option<Timestamp>,
    },
    /// A worker that asks for the answer of its own call, which still runs at the endpoint: that goes before everything else
    /// and takes no other slot (C2).
    Reattach,
    /// Nothing but a worker that looks.
    Worker,
}

impl WaitReason {
    /// Why this cell of this job waits, or `None` if it does not.
    #[must_use]
    pub fn of_job(
        job: &JobSummary,
        cell: &CellView,
        endpoint: Option<&EndpointView>,
        now: Timestamp,
    ) -> Option<Self> {
        let why = Self::of(cell, endpoint, now)?;
        Some(if job.paused.is_some() { Self::Paused } else { why })
    }

    /// Why this cell waits, or `None` if it does not, where its job is not paused. `endpoint` is the view of the endpoint
    /// that serves it.
    #[must_use]
    pub fn of(cell: &CellView, endpoint: Option<&EndpointView>, now: Timestamp) -> Option<Self> {
        match cell.state {
            ExecutionState::Blocked => return Some(Self::Batch),
            ExecutionState::Queued => {}
            _ => return None,
        }
        if let Some(at) = cell.not_before.filter(|at| *at > now) {
            return Some(Self::Retry { at });
        }
        let Some(endpoint) = endpoint else { return Some(Self::Worker) };
        Some(match (endpoint.gate, endpoint.bound) {
            (Some(Gate::Throttled { until }), _) if until > now => Self::Throttled { until },
            (Some(Gate::Broken { until }), _) if until > now => Self::Breaker { until },
            (Some(Gate::Cold), _) if endpoint.in_flight > endpoint.abandoned => Self::ColdProbe,
            (_, bound) if may_reattach(cell, endpoint, bound) => Self::Reattach,
            (_, Some(Bound::Endpoint)) if endpoint.abandoned > 0 => {
                Self::Abandoned { calls: endpoint.abandoned, until: endpoint.abandoned_until }
            }
            // A worker said so, and those calls have ended: it is gone, or about to look again.
            (_, Some(Bound::Endpoint)) if endpoint.limit.is_some_and(|limit| endpoint.in_flight < limit) => {
                Self::Worker
            }
            (_, Some(bound)) => Self::Limit { bound },
            (_, None) if endpoint.limit.is_some_and(|limit| endpoint.in_flight >= limit) => {
                Self::Limit { bound: Bound::Endpoint }
            }
            _ => Self::Worker,
        })
    }
}

/// Whether this cell waits for nothing but a worker that re-attaches to its call: its slot is among the abandoned ones, and of
/// what bounds a claim only this can keep it from there.
fn may_reattach(cell: &CellView, endpoint: &EndpointView, bound: Option<Bound>) -> bool {
    let live = endpoint.in_flight.saturating_sub(endpoint.abandoned);
    cell.resumable
        && endpoint.abandoned > 0
        && endpoint.limit.is_none_or(|limit| live < limit)
        && !matches!(bound, Some(Bound::Drain | Bound::DayBudget | Bound::Worker))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EndpointId, StateCounts};
    use beacon_spec::{ModelId, QuestionId, Region};

    fn cell(state: ExecutionState, not_before: Option<Timestamp>) -> CellView {
        CellView {
            n: 0,
            question: QuestionId::new("q").unwrap(),
            model: ModelId::new("m").unwrap(),
            region: Region::UsEast,
            run: 1,
            endpoint: Some(EndpointId::new("e")),
            state,
            attempts: 0,
            started_at: None,
            not_before,
            resumable: false,
        }
    }

    fn endpoint(gate: Gate, bound: Option<Bound>, in_flight: u32) -> EndpointView {
        EndpointView {
            endpoint: EndpointId::new("e"),
            model: ModelId::new("m").unwrap(),
            region: Region::UsEast,
            counts: StateCounts::default(),
            gate: Some(gate),
            bound,
            limit: Some(1),
            in_flight,
            abandoned: 0,
            abandoned_until: None,
        }
    }

    // S11
    #[test]
    fn every_waiting_execution_has_a_reason_and_no_other_has() {
        let now = Timestamp::UNIX_EPOCH;
        let later = Timestamp::from_second(60).unwrap();
        let queued = |not_before| cell(ExecutionState::Queued, not_before);
        let check = |cell: &CellView, endpoint: Option<&EndpointView>, expected| {
            assert_eq!(WaitReason::of(cell, endpoint, now), expected);
        };

        check(&cell(ExecutionState::Blocked, None), None, Some(WaitReason::Batch));
        check(&queued(Some(later)), None, Some(WaitReason::Retry { at: later }));
        check(&queued(Some(now)), None, Some(WaitReason::Worker));
        let cold = endpoint(Gate::Cold, Some(Bound::Worker), 1);
        check(&queued(None), Some(&cold), Some(WaitReason::ColdProbe));
        let throttled = endpoint(Gate::Throttled { until: later }, None, 0);
        check(&queued(None), Some(&throttled), Some(WaitReason::Throttled { until: later }));
        let broken = endpoint(Gate::Broken { until: later }, None, 0);
        check(&queued(None), Some(&broken), Some(WaitReason::Breaker { until: later }));
        let capped = endpoint(Gate::Open, Some(Bound::DayBudget), 0);
        check(&queued(None), Some(&capped), Some(WaitReason::Limit { bound: Bound::DayBudget }));
        let over = endpoint(Gate::Open, Some(Bound::Endpoint), 0);
        check(&queued(None), Some(&over), Some(WaitReason::Worker));
        let full = endpoint(Gate::Open, None, 1);
        check(&queued(None), Some(&full), Some(WaitReason::Limit { bound: Bound::Endpoint }));
        let left = EndpointView {
            abandoned: 2,
            abandoned_until: Some(later),
            ..endpoint(Gate::Open, Some(Bound::Endpoint), 2)
        };
        let abandoned = WaitReason::Abandoned { calls: 2, until: Some(later) };
        check(&queued(None), Some(&left), Some(abandoned));
        check(&queued(None), Some(&EndpointView { gate: Some(Gate::Cold), ..left }), Some(abandoned));
        for state in [ExecutionState::Running, ExecutionState::Completed, ExecutionState::Unsupported] {
            check(&cell(state, None), Some(&full), None);
        }
    }

    // S11, C2
    #[test]
    fn an_execution_whose_call_still_runs_waits_for_its_own_reattach() {
        let check = |bound: Option<Bound>, (in_flight, abandoned): (u32, u32), expected: WaitReason| {
            let cell = CellView { resumable: true, ..cell(ExecutionState::Queued, None) };
            let endpoint = EndpointView { abandoned, ..endpoint(Gate::Open, bound, in_flight) };
            let why = WaitReason::of(&cell, Some(&endpoint), Timestamp::UNIX_EPOCH);
            assert_eq!(why, Some(expected), "{bound:?}");
        };

        for bound in [None, Some(Bound::Endpoint), Some(Bound::Account), Some(Bound::Global)] {
            check(bound, (1, 1), WaitReason::Reattach);
        }
        for bound in [Bound::Drain, Bound::DayBudget, Bound::Worker] {
            check(Some(bound), (1, 1), WaitReason::Limit { bound });
        }
        let lowered = WaitReason::Abandoned { calls: 1, until: None };
        check(Some(Bound::Endpoint), (2, 1), lowered);
        check(Some(Bound::Endpoint), (1, 0), WaitReason::Limit { bound: Bound::Endpoint });
    }
}
