//! What waits for one endpoint, by job: retries by their time, everything else in the plan's order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use beacon_domain::{AccountId, Bound, Gate};
use beacon_spec::Timestamp;

use crate::fair::Lane;

/// One endpoint's queue and what is known of it.
#[derive(Debug, Default)]
pub(super) struct EndpointQueue {
    pub(super) waiting: BTreeMap<usize, Waiting>,
    /// Live leases.
    pub(super) running: u32,
    /// Calls that nobody waits for and that may still run until then, by execution and token.
    pub(super) abandoned: BTreeMap<(usize, u32, u64), Timestamp>,
    pub(super) linger: Duration,
    pub(super) longest_call: Duration,
    pub(super) lane: Lane<usize>,
    pub(super) account: Option<AccountId>,
    pub(super) limit: Option<u32>,
    pub(super) gate: Option<Gate>,
    pub(super) bound: Option<Bound>,
}

/// A job's queued executions on one endpoint.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    fresh: BTreeSet<u32>,
    later: BTreeSet<(Timestamp, u32)>,
}

impl EndpointQueue {
    pub(super) fn push(&mut self, job: usize, n: u32, not_before: Option<Timestamp>) {
        let waiting = self.waiting.entry(job).or_default();
        match not_before {
            Some(at) => waiting.later.insert((at, n)),
            None => waiting.fresh.insert(n),
        };
    }

    pub(super) fn remove(&mut self, job: usize, n: u32, not_before: Option<Timestamp>) {
        let Some(waiting) = self.waiting.get_mut(&job) else { return };
        match not_before {
            Some(at) => waiting.later.remove(&(at, n)),
            None => waiting.fresh.remove(&n),
        };
        if waiting.fresh.is_empty() && waiting.later.is_empty() {
            self.waiting.remove(&job);
        }
    }

    /// When the next back-off ends that has not ended yet, or an abandoned call.
    pub(super) fn next_ready(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self
            .waiting
            .values()
            .filter_map(|waiting| waiting.later.iter().map(|(at, _)| *at).find(|at| *at > now));
        next.chain(self.next_end(now)).min()
    }
}

impl Waiting {
    /// How many wait, ready or not.
    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.later.len()
    }

    /// At most `most` executions that may run now: retries that are due, then the plan's order.
    pub(super) fn ready(&self, now: Timestamp, most: usize) -> Vec<u32> {
        let due = self.later.iter().take_while(|(at, _)| *at <= now).map(|(_, n)| *n);
        due.chain(self.fresh.iter().copied()).take(most).collect()
    }
}
