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
    /// Calls that nobody waits for any more, and that may still run at the endpoint: they hold slots until then.
    Abandoned {
        /// How many.
        calls: u32,
    },
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
            (Some(Gate::Cold), _) if endpoint.in_flight > 0 => Self::ColdProbe,
            (_, Some(Bound::Endpoint)) if endpoint.abandoned > 0 => {
                Self::Abandoned { calls: endpoint.abandoned }
            }
            (_, Some(bound)) => Self::Limit { bound },
            (_, None) if endpoint.limit.is_some_and(|limit| endpoint.in_flight >= limit) => {
                Self::Limit { bound: Bound::Endpoint }
            }
            _ => Self::Worker,
        })
    }
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
        let full = endpoint(Gate::Open, None, 1);
        check(&queued(None), Some(&full), Some(WaitReason::Limit { bound: Bound::Endpoint }));
        let left = EndpointView { abandoned: 2, ..endpoint(Gate::Open, Some(Bound::Endpoint), 2) };
        check(&queued(None), Some(&left), Some(WaitReason::Abandoned { calls: 2 }));
        for state in [ExecutionState::Running, ExecutionState::Completed, ExecutionState::Unsupported] {
            check(&cell(state, None), Some(&full), None);
        }
    }
}
