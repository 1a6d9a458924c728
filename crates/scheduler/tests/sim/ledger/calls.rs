//! Calls as the endpoints see them. The guarantee, exactly:
//!
//! 1. Calls whose lease the store holds to be live are within the limits, and there is one per lease.
//! 2. A call is begun after its lease ended only by a worker that a fault held up in between; the worker itself never
//!    dispatches a call after its lease, its job's deadline or a cancel that it can know of.
//! 3. A call whose lease ended while it ran, a *stray*, is dropped with the worker's next heartbeat, a third of a lease
//!    later at most, unless a fault holds the worker up or keeps it from the store.
//! 4. An endpoint goes on with a call that nobody waits for any more. Where workers only die, and their clocks agree, it
//!    never works on more calls than its limit: the slot of such a call stays taken as long as the endpoint may need it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use beacon_domain::{AttemptId, EndpointId, EndpointInfo, LeaseKey};
use beacon_spec::Timestamp;
use beacon_testkit::faults::Life;
use tokio::time::Instant;

use super::{Cause, Ledger};
use crate::{history::Who, scenario::LEASE};

/// A heartbeat, by the slowest clock.
const NEXT_HEARTBEAT: Duration = Duration::from_millis(LEASE.as_millis() as u64 * 11 / 30 + 50);

/// Longer than a shutdown and the pauses of a recorder after an outage.
const GOING_HOME: Duration = Duration::from_secs(10);

/// One call.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) who: Who,
    pub(crate) life: Arc<Life>,
    pub(crate) endpoint: EndpointId,
    pub(crate) limit: u32,
    pub(crate) key: LeaseKey,
    pub(crate) attempt: AttemptId,
    /// Whether it re-attaches to a remote call.
    pub(crate) resumes: bool,
}

/// All calls.
#[derive(Default)]
pub(crate) struct Calls {
    running: BTreeMap<u64, (Call, Instant)>,
    begun: u64,
    posted: BTreeSet<AttemptId>,
    answers: BTreeMap<String, AttemptId>,
    /// Leases that a worker knows of.
    dispatched: BTreeSet<LeaseKey>,
    /// Until when endpoints work, on calls that somebody waits for and on others.
    working: BTreeMap<EndpointId, Vec<Instant>>,
    /// The most calls above the limit of an endpoint at once, strays included, by why the strays lost their leases.
    pub(crate) above: BTreeMap<Cause, u64>,
    pub(crate) re_attached: u64,
}

impl Calls {
    /// An endpoint's work is done.
    pub(crate) fn answer(&mut self, text: String, attempt: AttemptId) {
        self.answers.insert(text, attempt);
    }

    pub(super) fn answered(&self, text: &str) -> Option<AttemptId> {
        self.answers.get(text).copied()
    }

    /// Calls that were begun.
    pub(crate) fn total(&self) -> u64 {
        self.begun
    }
}

impl Ledger {
    /// A worker decides to call, at `now` by its own clock.
    pub(crate) fn dispatched(&mut self, call: &Call, now: Timestamp) {
        let (key, name) = (call.key, self.name(call.key.execution));
        self.step(call.who, "dispatch", Some(key.execution), key.token);
        let deadline = self.jobs.get(&key.execution.job).map_or(Timestamp::MAX, |job| job.deadline);
        self.must(now < deadline, "S7: nothing is dispatched after the deadline", || name.clone());
        self.calls.dispatched.insert(key);
        let live = self.leases.get(&key.execution).filter(|lease| lease.token == key.token);
        let ended = self.ended.get(&key);
        let Some(lease) = live.or(ended.map(|ended| &ended.lease)) else {
            return self.must(false, "no call without a lease", || name);
        };
        let (until, claimed_at) = (lease.until, lease.claimed_at);
        let excused = live.is_some()
            || ended.is_some_and(|ended| ended.at == Instant::now())
            || call.life.was_troubled_since(claimed_at);
        self.must(now < until, "no call after its lease by the worker's own clock", || {
            format!("{name}: dispatched at {now}, token {} ended at {until}", key.token)
        });
        self.must(excused, "S7: only a worker that was held up calls under a lost lease", || {
            format!("{name}: token {}", key.token)
        });
    }

    /// The endpoint has the call.
    pub(crate) fn begin(&mut self, call: Call) -> u64 {
        let (key, name) = (call.key, self.name(call.key.execution));
        self.step(call.who, if call.resumes { "GET" } else { "POST" }, Some(key.execution), key.token);
        let twice = self.calls.running.values().any(|(other, _)| other.key == key);
        self.must(!twice, "one call per lease", || name.clone());
        if call.resumes {
            self.calls.re_attached += 1;
        } else {
            let again = !self.calls.posted.insert(call.attempt) && !self.given_back.contains(&call.attempt);
            self.must(!again, "C3: one POST per attempt", || {
                format!("{name} attempt {}", call.attempt.number)
            });
            let repeated = self.is_live(key) && self.resumes.contains_key(&key.execution);
            self.must(!repeated, "C2: no POST for a call whose resume token is durable", || name);
        }
        let id = self.calls.begun;
        self.calls.begun += 1;
        let (endpoint, limit) = (call.endpoint.clone(), call.limit);
        self.calls.running.insert(id, (call, Instant::now()));
        self.endpoint_sees_its_limit(&endpoint, limit);
        id
    }

    fn endpoint_sees_its_limit(&mut self, endpoint: &EndpointId, limit: u32) {
        let here = self.calls.running.values().filter(|(call, _)| call.endpoint == *endpoint);
        let (live, strays): (Vec<_>, Vec<_>) =
            here.map(|(call, _)| call.key).partition(|key| self.is_live(*key));
        let (n, over) = (live.len(), live.len() + strays.len() > limit as usize);
        self.must(n <= limit as usize, "S1: calls in flight under live leases are within the limit", || {
            format!("{n} of {limit} on {endpoint}")
        });
        let causes = strays.iter().filter_map(|key| self.ended.get(key)).map(|ended| ended.cause);
        for cause in causes.collect::<BTreeSet<_>>().into_iter().filter(|_| over) {
            *self.calls.above.entry(cause).or_default() += 1;
        }
    }

    /// An endpoint takes up work, and does not stop when nobody waits for it any more.
    pub(crate) fn works(&mut self, endpoint: &EndpointInfo, until: Instant) {
        let working = self.calls.working.entry(endpoint.id.clone()).or_default();
        working.retain(|ends| *ends > Instant::now());
        working.push(until);
        let n = working.len();
        let within = n <= endpoint.limit as usize || !self.strict;
        self.must(
            within,
            "S1: no endpoint works on more calls than its limit, whoever waits for them",
            || format!("{n} of {} on {}", endpoint.limit, endpoint.id),
        );
    }

    /// An endpoint goes down.
    pub(crate) fn works_on_nothing(&mut self, endpoint: &EndpointId) {
        self.calls.working.remove(endpoint);
    }

    /// A worker goes on to wait for a remote call, whose resume token it believes to be durable.
    pub(crate) fn waits_remotely(&mut self, key: LeaseKey) {
        let (durable, name) = (self.saved.contains(&key), self.name(key.execution));
        self.must(durable, "C2: no waiting on a remote call whose token is not durable", || name);
    }

    /// A worker was asked to stop and has stopped. Unless faults kept it from that, its leases are given back.
    pub(crate) fn went_home(&mut self, who: Who, life: &Life) {
        if life.was_troubled_since(Instant::now() - GOING_HOME) {
            return;
        }
        let held = self.leases.iter().find(|(execution, lease)| {
            let key = LeaseKey { execution: **execution, token: lease.token };
            lease.who == who && self.calls.dispatched.contains(&key)
        });
        let held = held.map(|(execution, _)| *execution);
        let name = held.map(|execution| self.name(execution)).unwrap_or_default();
        self.must(held.is_none(), "L3: a worker that stops gives its leases back", || name);
    }

    /// The call's connection is gone, whoever closed it.
    pub(crate) fn end(&mut self, id: u64) {
        if let Some((call, _)) = self.calls.running.get(&id).cloned() {
            self.step(call.who, "call over", Some(call.key.execution), call.key.token);
        }
        self.calls.running.remove(&id);
    }

    /// When all workers have gone home, so have their calls.
    pub(crate) fn nothing_runs_on(&mut self) {
        let left = self.calls.running.len();
        self.must(left == 0, "no call outlives its worker", || format!("{left} calls"));
    }

    pub(super) fn strays_are_dropped_in_time(&mut self) {
        let stray = self.calls.running.values().find_map(|(call, begun)| {
            let ended = self.ended.get(&call.key)?;
            let since = ended.at.max(*begun);
            let overdue = since.elapsed() > NEXT_HEARTBEAT && !call.life.was_troubled_since(since);
            overdue.then(|| (call.key, ended.cause, since.elapsed()))
        });
        let Some((key, cause, late)) = stray else { return };
        let name = self.name(key.execution);
        self.must(false, "S7: a call whose lease was lost is dropped with the next heartbeat", || {
            format!("{name}: token {} was lost ({cause:?}) {late:?} ago", key.token)
        });
    }
}
