//! Calls that nobody waits for any more and that may still run at their endpoint: they count against every limit (S1).

use beacon_domain::{Claim, ExecutionState, Room};
use beacon_spec::Timestamp;

use super::{queue::EndpointQueue, state::State};
use crate::rules::Abandoned;

impl State {
    /// The call of this claim was left at `since`. One that can be found again counts from then until it is; another as long as
    /// its endpoint may go on with it. What has ended by `now` is not noted.
    pub(super) fn abandon(&mut self, job: usize, n: u32, token: u64, since: Timestamp, now: Timestamp) {
        let execution = self.execution(job, n);
        let is_mine = execution.token == token;
        let resumable = execution.resume.is_some() && execution.state == ExecutionState::Queued;
        if !is_mine && execution.resume.is_some() {
            // Whoever has the execution now has the call as well.
            return;
        }
        let endpoint = execution.endpoint.clone();
        let Some(queue) = endpoint.and_then(|endpoint| self.endpoints.get_mut(&endpoint)) else { return };
        let span = if is_mine && resumable { queue.longest_call } else { queue.linger };
        let until = since.checked_add(span).unwrap_or(Timestamp::MAX);
        if until > now {
            let held = queue.abandoned.entry((job, n, token)).or_insert(until);
            *held = until.max(*held);
        }
    }

    /// Nobody looks for the calls of this job any more: they count as long as any other.
    pub(super) fn not_found_again(&mut self, job: usize, now: Timestamp) {
        for queue in self.endpoints.values_mut() {
            let latest = now.checked_add(queue.linger).unwrap_or(Timestamp::MAX);
            let mine = queue.abandoned.iter_mut().filter(|(call, _)| call.0 == job);
            mine.for_each(|(_, until)| *until = latest.min(*until));
        }
    }

    /// Calls that have ended by now.
    pub(super) fn forget_abandoned(&mut self, now: Timestamp) {
        let mut freed = false;
        for queue in self.endpoints.values_mut() {
            let before = queue.abandoned.len();
            queue.abandoned.retain(|_, until| *until > now);
            freed |= queue.abandoned.len() < before;
        }
        if freed {
            self.wake_queue();
        }
    }

    /// What is shown of the calls of an endpoint.
    pub(super) fn abandoned(&self, queue: &EndpointQueue, now: Timestamp) -> Abandoned {
        let known = queue.abandoned.iter().filter(|(call, _)| !self.may_reattach(call));
        let until = known.map(|(_, until)| *until).filter(|until| *until > now).min();
        Abandoned { calls: queue.abandoned(now), until }
    }

    /// Whether the execution waits for its own call.
    fn may_reattach(&self, (job, n, token): &(usize, u32, u64)) -> bool {
        let execution = self.execution(*job, *n);
        execution.state == ExecutionState::Queued && execution.token == *token && execution.resume.is_some()
    }

    /// All calls in flight, also those that nobody waits for.
    pub(super) fn in_flight(&self, now: Timestamp) -> u32 {
        let abandoned: u32 = self.endpoints.values().map(|queue| queue.abandoned(now)).sum();
        u32::try_from(self.leases.len()).unwrap_or(u32::MAX).saturating_add(abandoned)
    }

    /// Executions of this endpoint whose calls still run there: whoever claims them takes no other slot.
    pub(super) fn reattachable(
        &self,
        claim: &Claim,
        room: &Room,
        limit: u32,
        wanted: u32,
    ) -> Vec<(usize, u32)> {
        let Some(queue) = self.endpoints.get(&room.endpoint) else { return Vec::new() };
        let free = limit.saturating_sub(queue.running).min(room.free).min(wanted);
        let is_ready = |call: &(usize, u32, u64)| {
            let (job, execution) = (&self.jobs[call.0], self.execution(call.0, call.1));
            self.may_reattach(call)
                && execution.not_before.is_none_or(|at| at <= claim.now)
                && job.is_claimable()
                && job.paused.is_none()
        };
        let counted = queue.abandoned.iter().filter(|(_, until)| **until > claim.now);
        let ready = counted.map(|(call, _)| call).filter(|call| is_ready(call));
        ready.take(free as usize).map(|(job, n, _)| (*job, *n)).collect()
    }
}

impl EndpointQueue {
    /// How many such calls it may still work on.
    pub(super) fn abandoned(&self, now: Timestamp) -> u32 {
        self.abandoned.values().filter(|until| **until > now).count() as u32
    }

    /// What counts against its limit.
    pub(super) fn in_flight(&self, now: Timestamp) -> u32 {
        self.running + self.abandoned(now)
    }

    /// When the first of them has ended.
    pub(super) fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.abandoned.values().copied().filter(|until| *until > now).min()
    }
}
