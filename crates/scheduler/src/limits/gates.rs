//! One gate per endpoint: how many calls this process may start on it now, and why not more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use beacon_domain::{
    AccountId, CallError, EndpointId, EndpointInfo, EndpointOverride, ErrorClass, Gate, Monotonic, Outage,
    Outages, Room,
};
use beacon_spec::Timestamp;

use super::{Adaptive, Breaker};
use crate::report;

/// Longer than the pauses between calls that try an endpoint: after such a silence nobody knows whether it was away all along.
const SILENCE: Duration = Duration::from_secs(300);

/// All gates of a worker.
#[derive(Debug)]
pub(crate) struct Gates {
    by_id: Mutex<BTreeMap<EndpointId, EndpointGate>>,
    warm_for: Duration,
    /// Whether there is a limit over all endpoints: what one frees, each may use.
    shared: bool,
    /// What whoever asks for this process's health is told.
    outages: Outages,
}

#[derive(Debug)]
struct EndpointGate {
    info: EndpointInfo,
    in_flight: u32,
    /// Grows with every call over all endpoints.
    turn: u64,
    /// Whether it got a slot back since it was last looked at.
    freed: bool,
    answered_at: Option<Monotonic>,
    throttled_until: Option<Monotonic>,
    /// The first and the last of the calls that did not reach it, since one did.
    away: Option<(Monotonic, Monotonic)>,
    breaker: Breaker,
    adaptive: Option<Adaptive>,
    /// What an operator changed.
    change: EndpointOverride,
}

/// What a call changed about an endpoint's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Opened,
    Closed,
}

/// Which endpoints a claim is about. A claim holds the rows of its endpoints, and other workers wait for them: it names
/// those where something may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// All: something may have come into the queue.
    Everywhere,
    /// Those that got a slot back, and those that share a limit with them.
    Freed,
}

/// The two clocks read at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) date: Timestamp,
    pub(crate) monotonic: Monotonic,
}

impl Moment {
    fn date_of(self, then: Monotonic) -> Timestamp {
        self.date.checked_add(then.since(self.monotonic)).unwrap_or(Timestamp::MAX)
    }
}

impl Gates {
    pub(crate) fn new(
        endpoints: impl IntoIterator<Item = EndpointInfo>,
        warm_for: Duration,
        shared: bool,
        outages: Outages,
    ) -> Self {
        let gates = endpoints.into_iter().map(|info| (info.id.clone(), EndpointGate::new(info))).collect();
        Self { by_id: Mutex::new(gates), warm_for, shared, outages }
    }

    /// What may be claimed now, over all endpoints or where a slot was freed, and when a closed gate opens next.
    pub(crate) fn rooms(&self, look: Look, now: Moment) -> (Vec<Room>, Option<Monotonic>) {
        let mut gates = self.lock();
        let accounts: BTreeSet<AccountId> =
            gates.values().filter(|gate| gate.freed).filter_map(|gate| gate.info.account.clone()).collect();
        let all = look == Look::Everywhere || self.shared && gates.values().any(|gate| gate.freed);
        let is_meant = |gate: &&mut EndpointGate| {
            let shares = || gate.info.account.as_ref().is_some_and(|account| accounts.contains(account));
            all || gate.freed || shares()
        };
        let opens = gates.values().filter_map(|gate| gate.opens_at(now.monotonic)).min();
        let mut by_turn: Vec<&mut EndpointGate> = gates.values_mut().filter(is_meant).collect();
        // Under a shared limit every endpoint has its turn: whoever waited longest is served first.
        by_turn.sort_by_key(|gate| gate.turn);
        by_turn.iter_mut().for_each(|gate| gate.freed = false);
        (by_turn.iter().map(|gate| gate.room(now, self.warm_for)).collect(), opens)
    }

    /// The store has slots of it back, or is getting them in a record that a claim would wait for.
    pub(crate) fn freed(&self, endpoint: &EndpointId) {
        if let Some(gate) = self.lock().get_mut(endpoint) {
            gate.freed = true;
        }
    }

    /// A call goes out.
    pub(crate) fn started(&self, endpoint: &EndpointId, now: Monotonic) {
        let mut gates = self.lock();
        let turn = gates.values().map(|gate| gate.turn).max().unwrap_or(0) + 1;
        if let Some(gate) = gates.get_mut(endpoint) {
            if !gate.is_warm(now, self.warm_for) {
                // This call wakes it; until it is answered nobody joins.
                gate.answered_at = None;
            }
            gate.in_flight += 1;
            gate.turn = turn;
        }
    }

    /// A call came back, `Ok` with an answer.
    pub(crate) fn finished(&self, endpoint: &EndpointId, result: Result<(), &CallError>, now: Moment) {
        let mut gates = self.lock();
        let turn = gates.get_mut(endpoint).and_then(|gate| gate.learn(result, now.monotonic));
        // Under the lock: what is told is in the order in which it happened.
        match (turn, result) {
            (Some(Turn::Opened), Err(error)) => {
                let outage = Outage { endpoint: endpoint.clone(), since: now.date, error: error.code };
                self.outages.began(outage);
                report::outage_began(endpoint, error);
            }
            (Some(Turn::Closed), _) => {
                self.outages.ended(endpoint);
                report::outage_ended(endpoint);
            }
            _ => {}
        }
    }

    /// For how long no call has reached it. After a silence only the time counts for which its caller has tried.
    pub(crate) fn away_for(&self, endpoint: &EndpointId, tried_for: Duration, now: Monotonic) -> Duration {
        let away = self.lock().get(endpoint).and_then(|gate| gate.away);
        let Some((first, last)) = away else { return Duration::ZERO };
        let away = now.since(first);
        if now.since(last) > SILENCE { away.min(tried_for) } else { away }
    }

    /// A call is back, whatever came of it.
    pub(crate) fn released(&self, endpoint: &EndpointId) {
        if let Some(gate) = self.lock().get_mut(endpoint) {
            gate.in_flight = gate.in_flight.saturating_sub(1);
        }
    }

    /// Heeds what operators changed; endpoints that are not named are as the file says. Whether any changed.
    pub(crate) fn change(&self, changes: &[(EndpointId, EndpointOverride)]) -> bool {
        let changes: BTreeMap<_, _> = changes.iter().map(|(endpoint, change)| (endpoint, change)).collect();
        let mut any = false;
        for (endpoint, gate) in self.lock().iter_mut() {
            let change = changes.get(endpoint).copied().cloned().unwrap_or_default();
            any |= gate.heed(change);
        }
        any
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EndpointId, EndpointGate>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndpointGate {
    fn new(info: EndpointInfo) -> Self {
        let adaptive = info.adaptive.map(|(floor, ceiling)| Adaptive::new(floor, ceiling.min(info.limit)));
        let breaker = Breaker::default();
        Self {
            info,
            in_flight: 0,
            turn: 0,
            freed: false,
            answered_at: None,
            throttled_until: None,
            away: None,
            breaker,
            adaptive,
            change: EndpointOverride::default(),
        }
    }

    fn room(&self, now: Moment, warm_for: Duration) -> Room {
        let gate = self.gate(now, warm_for);
        let limit = match gate {
            Gate::Throttled { .. } | Gate::Broken { .. } => 0,
            Gate::Cold => 1,
            Gate::Open if self.breaker.is_half_open() => 1,
            Gate::Open => self.adaptive.as_ref().map_or(u32::MAX, Adaptive::limit),
        };
        // What drains is asked for all the same: the store gives nothing, and notes why.
        let limit = limit.min(self.change.limit(self.info.limit, self.info.max_limit));
        Room {
            endpoint: self.info.id.clone(),
            free: limit.saturating_sub(self.in_flight),
            limit: self.info.limit,
            most: self.info.max_limit.max(self.info.limit),
            account: self.info.account.clone(),
            linger: self.info.linger,
            gate,
        }
    }

    fn gate(&self, now: Moment, warm_for: Duration) -> Gate {
        if let Some(until) = self.breaker.closed_to_calls_until(now.monotonic) {
            return Gate::Broken { until: now.date_of(until) };
        }
        if let Some(until) = self.throttled_until.filter(|until| *until > now.monotonic) {
            return Gate::Throttled { until: now.date_of(until) };
        }
        let cold = self.info.cold_probe && !self.is_warm(now.monotonic, warm_for);
        if cold { Gate::Cold } else { Gate::Open }
    }

    /// Calls that are still in flight keep a container busy, hence warm.
    fn is_warm(&self, now: Monotonic, warm_for: Duration) -> bool {
        self.answered_at.is_some_and(|at| self.in_flight > 0 || now.since(at) < warm_for)
    }

    fn heed(&mut self, change: EndpointOverride) -> bool {
        if self.change == change {
            return false;
        }
        if change.reset_at > self.change.reset_at {
            self.breaker = Breaker::default();
            self.throttled_until = None;
        }
        self.change = change;
        true
    }

    fn opens_at(&self, now: Monotonic) -> Option<Monotonic> {
        let throttled = self.throttled_until.filter(|until| *until > now);
        self.breaker.closed_to_calls_until(now).max(throttled)
    }

    fn learn(&mut self, result: Result<(), &CallError>, now: Monotonic) -> Option<Turn> {
        let Err(error) = result else {
            self.answered_at = Some(now);
            self.throttled_until = None;
            self.away = None;
            self.adaptive.iter_mut().for_each(Adaptive::succeeded);
            return self.breaker.succeeded().then_some(Turn::Closed);
        };
        match error.class() {
            ErrorClass::Unreachable => self.away = Some((self.away.map_or(now, |(first, _)| first), now)),
            ErrorClass::Cancelled => {}
            _ => self.away = None,
        }
        match error.class() {
            ErrorClass::Throttled | ErrorClass::Overloaded => {
                self.adaptive.iter_mut().for_each(Adaptive::overloaded);
                if let Some(after) = error.retry_after {
                    self.throttled_until = Some(now + after);
                }
            }
            ErrorClass::Unreachable
            | ErrorClass::Unavailable
            | ErrorClass::Timeout
            | ErrorClass::Internal
            | ErrorClass::Protocol => return self.breaker.failed(now).then_some(Turn::Opened),
            // These speak of the request or the account, not of the endpoint's health.
            ErrorClass::Rejected | ErrorClass::SpendLimit | ErrorClass::Cancelled => {}
        }
        None
    }
}
