//! Claiming: who gets work next, within every limit (S1, S4).

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use beacon_domain::{
    BatchStarted, Bound, CallRequest, Claim, Claimed, ExecutionId, ExecutionState, JobState, Lease, LeaseKey,
    Room,
};
use beacon_spec::Timestamp;

use super::state::State;
use crate::{
    fair::Candidate,
    rules::{SharedRoom, day, tightest},
};

impl State {
    pub(super) fn claim(&mut self, claim: &Claim) -> Claimed {
        let mut claimed = Claimed::default();
        let mut shared = self.shared_room(claim);
        for room in &claim.rooms {
            let limit = self.limit(room);
            let mut wanted = room.free.min(shared.worker);
            if let Some(limit) = limit.filter(|_| shared.spendable) {
                for (job, n) in self.reattachable(claim, room, limit, wanted) {
                    self.hand_out(claim, room, (job, n), &mut claimed);
                    wanted -= 1;
                    shared.reattach();
                }
            }
            let (bound, free) = match limit {
                Some(limit) => self.free(claim, room, limit, (shared, wanted)),
                None => (Bound::Drain, 0),
            };
            let ready = self.ready(room, free, claim.now);
            let given = ready.len() as u32;
            shared.take(given);
            let queue = self.endpoints.entry(room.endpoint.clone()).or_default();
            (queue.linger, queue.longest_call) = (room.linger, claim.longest_call);
            queue.gate = Some(room.gate);
            queue.limit = Some(limit.unwrap_or(0));
            queue.account.clone_from(&room.account);
            queue.bound = (given == free).then_some(bound);
            for place in ready {
                self.hand_out(claim, room, place, &mut claimed);
            }
            let next = self.endpoints.get(&room.endpoint).and_then(|queue| queue.next_ready(claim.now));
            claimed.next_ready_at = claimed.next_ready_at.into_iter().chain(next).min();
        }
        claimed
    }

    fn hand_out(&mut self, claim: &Claim, room: &Room, (job, n): (usize, u32), claimed: &mut Claimed) {
        let (lease, started) = self.lease(claim, room, job, n);
        claimed.leases.push(lease);
        claimed.started.extend(started);
    }

    fn shared_room(&self, claim: &Claim) -> SharedRoom {
        let running = self.in_flight(claim.now);
        let spent = self.spend.get(&day(claim.now)).copied().unwrap_or(0);
        SharedRoom {
            worker: claim.at_most,
            global: claim.global_limit.map_or(u32::MAX, |limit| limit.saturating_sub(running)),
            spendable: claim.day_budget.is_none_or(|budget| spent < budget.cap_micros),
        }
    }

    fn free(
        &self,
        claim: &Claim,
        room: &Room,
        own: u32,
        (shared, wanted): (SharedRoom, u32),
    ) -> (Bound, u32) {
        let running = self.endpoints.get(&room.endpoint).map_or(0, |queue| queue.in_flight(claim.now));
        let limit = claim.accounts.iter().find(|limit| Some(&limit.account) == room.account.as_ref());
        let account = limit.map_or(u32::MAX, |limit| {
            let others = self.endpoints.iter().filter(|(id, queue)| {
                **id != room.endpoint && queue.account.as_ref() == Some(&limit.account)
            });
            let of_account: u32 = others.map(|(_, queue)| queue.in_flight(claim.now)).sum();
            limit.limit.saturating_sub(of_account + running)
        });
        tightest(shared, own.saturating_sub(running), account, wanted)
    }

    /// The executions that get the slots of one endpoint.
    fn ready(&mut self, room: &Room, free: u32, now: Timestamp) -> Vec<(usize, u32)> {
        let Some(queue) = self.endpoints.get_mut(&room.endpoint).filter(|_| free > 0) else {
            return Vec::new();
        };
        let gives = |job: &usize| self.jobs[*job].is_claimable() && self.jobs[*job].paused.is_none();
        let jobs = queue.waiting.keys().copied().filter(gives);
        let candidates = jobs.map(|job| Candidate {
            key: self.jobs[job].spec.key().to_string(),
            weight: self.jobs[job].weight,
            job,
        });
        let candidates: Vec<_> = candidates.collect();
        let mut fetched: HashMap<usize, VecDeque<u32>> = HashMap::new();
        let waiting = &queue.waiting;
        let given = queue.lane.share_out(candidates, free, |job| {
            let next = fetched.entry(job).or_insert_with(|| {
                waiting.get(&job).map(|waiting| waiting.ready(now, free as usize).into()).unwrap_or_default()
            });
            Ok::<_, std::convert::Infallible>(next.pop_front().map(|n| (job, n)))
        });
        match given {
            Ok(given) => given,
            Err(never) => match never {},
        }
    }

    fn lease(&mut self, claim: &Claim, room: &Room, job: usize, n: u32) -> (Lease, Option<BatchStarted>) {
        let until = claim.now.checked_add(claim.lease).unwrap_or(Timestamp::MAX);
        self.change(job, n, ExecutionState::Running, Some(until));
        let before = self.execution(job, n);
        let (token, resumes) = (before.token, before.resume.is_some());
        if let Some(queue) = self.endpoints.get_mut(&room.endpoint).filter(|_| resumes) {
            // Whoever re-attaches to a call waits for it again.
            queue.abandoned.remove(&(job, n, token));
        }
        let execution = self.execution_mut(job, n);
        execution.token += 1;
        execution.worker = Some(claim.worker.clone());
        let resumes = execution.resume.is_some() && execution.attempts > 0;
        execution.attempts += u32::from(!resumes);
        execution.started_at.get_or_insert(claim.now);
        let started = self.start_batch(job, n, claim.now);
        self.wake_job(job);
        let (job, execution) = (&self.jobs[job], self.execution(job, n));
        let question = &job.batches[execution.batch as usize].question;
        let lease = Lease {
            key: LeaseKey { execution: ExecutionId { job: job.id, n }, token: execution.token },
            attempt: execution.attempts,
            failures: execution.failures,
            throttles: execution.throttles,
            expires_at: until,
            endpoint: room.endpoint.clone(),
            request: CallRequest {
                model: execution.model.clone(),
                region: execution.region,
                prompt: question.text.clone(),
                sampling: job.sampling,
            },
            question: question.id.clone(),
            batch: execution.batch + 1,
            run: execution.run,
            resume: execution.resume.clone(),
            queued_at: execution.queued_at.unwrap_or(claim.now),
            started_at: execution.started_at.unwrap_or(claim.now),
            job_deadline: job.deadline,
            provider_timeout: job.spec.spec().constraints.provider_timeout,
            spec_digest: job.spec.digest(),
            trace_id: job.trace_id.clone(),
        };
        (lease, started)
    }

    /// The batch's and the job's first dispatch.
    fn start_batch(&mut self, job: usize, n: u32, now: Timestamp) -> Option<BatchStarted> {
        let job = &mut self.jobs[job];
        let at = job.executions[n as usize].batch as usize;
        if job.batches[at].started_at.is_some() {
            return None;
        }
        job.batches[at].started_at = Some(now);
        if job.started_at.is_none() {
            job.started_at = Some(now);
            job.state = JobState::Running;
        }
        let before = at.checked_sub(1).and_then(|before| job.batches[before].ended_at);
        Some(BatchStarted {
            job: job.id,
            question: job.batches[at].question.id.clone(),
            number: at as u32 + 1,
            total: job.batches.len() as u32,
            executions: job.batches[at].counts.total(),
            gap: before.and_then(|before| Duration::try_from(now.duration_since(before)).ok()),
        })
    }
}
