//! Why executions wait (S11).

use beacon_domain::{Bound, WaitReason};
use beacon_spec::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Execution;

/// A page of waiting executions, in the order of the plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    pub(crate) waiting: Vec<Waiting>,
    /// Where the next page starts; null at the end.
    pub(crate) next: Option<String>,
}

/// A waiting execution, and why it waits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Waiting {
    #[serde(flatten)]
    execution: Execution,
    /// `paused`, `batch`, `retry`, `cold_probe`, `throttled`, `breaker`, `limit`, `abandoned`, `reattach` or `worker`.
    waits_for: &'static str,
    /// Until when, if that is known. For `abandoned`: when the first of the calls counts no more.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Which limit, if it waits for one: `endpoint`, `drain`, `account`, `global`, `day_budget` or `worker`.
    #[schema(value_type = Option<String>)]
    bound: Option<Bound>,
    /// The same for people.
    explanation: &'static str,
}

impl Waiting {
    /// This execution waits for that.
    pub(crate) fn new(execution: Execution, reason: WaitReason) -> Self {
        let (waits_for, until, bound, explanation) = match reason {
            WaitReason::Paused => ("paused", None, None, "its job is paused, until somebody resumes it"),
            WaitReason::Batch => ("batch", None, None, "the question before it is not done"),
            WaitReason::Retry { at } => {
                ("retry", Some(at), None, "its last attempt failed; it is tried again then")
            }
            WaitReason::ColdProbe => {
                ("cold_probe", None, None, "its endpoint is cold, and one call goes ahead alone")
            }
            WaitReason::Throttled { until } => {
                ("throttled", Some(until), None, "its endpoint asked for a pause")
            }
            WaitReason::Breaker { until } => {
                ("breaker", Some(until), None, "its endpoint keeps failing, and is tried again then")
            }
            WaitReason::Abandoned { until, .. } => {
                let told = match until {
                    Some(_) => {
                        "calls that nobody waits for any more may still run at its endpoint, and hold its slots"
                    }
                    None => {
                        "calls still run at its endpoint, and hold its slots until a worker asks for their answers"
                    }
                };
                ("abandoned", until, Some(Bound::Endpoint), told)
            }
            WaitReason::Reattach => {
                let told = "its call still runs at its endpoint, and keeps its slot for the next worker, which asks for the answer";
                ("reattach", None, None, told)
            }
            WaitReason::Limit { bound } => ("limit", None, Some(bound), told(bound)),
            WaitReason::Worker => ("worker", None, None, "nothing but a worker that looks"),
        };
        Self { execution, waits_for, until, bound, explanation }
    }
}

const fn told(bound: Bound) -> &'static str {
    match bound {
        Bound::Endpoint => "as many calls are in flight as its endpoint may have",
        Bound::Drain => "an operator drains its endpoint",
        Bound::Account => "as many calls are in flight as the account of its endpoint may have",
        Bound::Global => "as many calls are in flight as all endpoints together may have",
        Bound::DayBudget => "the day's budget is spent",
        Bound::Worker => "the workers have no room for more",
    }
}
