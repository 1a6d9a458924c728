//! Steering: pause and resume, changes of endpoints, who is there, and what is stuck.

use async_trait::async_trait;
use beacon_domain::{
    Attendance, EndpointControl, EndpointId, EndpointOverride, ExecutionId, ExecutionState, ExpiredLease,
    JobId, JobSteering, Paused, SpecArchive, Steered, StoreError, Stuck, StuckAsk, WorkerId, WorkerPresence,
};
use beacon_spec::Timestamp;

use super::{MemoryStore, job::Job, state::State};

#[async_trait]
impl SpecArchive for MemoryStore {
    async fn spec_bytes(&self, job: JobId) -> Result<Vec<u8>, StoreError> {
        let state = self.read();
        Ok(state.jobs[state.place(job)?].spec.bytes().to_vec())
    }
}

#[async_trait]
impl JobSteering for MemoryStore {
    async fn pause(&self, job: JobId, by: String, now: Timestamp) -> Result<Steered, StoreError> {
        self.write(|state| state.steer(job, Some(Paused { by, at: now })))
    }

    async fn resume(&self, job: JobId, _: Timestamp) -> Result<Steered, StoreError> {
        self.write(|state| state.steer(job, None))
    }
}

#[async_trait]
impl Attendance for MemoryStore {
    async fn attend(&self, worker: WorkerPresence, forget_before: Timestamp) -> Result<(), StoreError> {
        self.write(|state| {
            let workers = &mut state.desk.workers;
            workers.retain(|_, worker| worker.seen_at >= forget_before);
            workers.insert(worker.worker.clone(), worker);
        });
        Ok(())
    }

    async fn leave(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.write(|state| drop(state.desk.workers.remove(&worker)));
        Ok(())
    }

    async fn workers(&self, since: Timestamp, n: u32) -> Result<Vec<WorkerPresence>, StoreError> {
        let state = self.read();
        let mut seen: Vec<_> =
            state.desk.workers.values().filter(|worker| worker.seen_at >= since).cloned().collect();
        seen.sort_by(|one, other| (other.seen_at, &one.worker).cmp(&(one.seen_at, &other.worker)));
        seen.truncate(n as usize);
        Ok(seen)
    }
}

#[async_trait]
impl EndpointControl for MemoryStore {
    async fn set_override(&self, endpoint: EndpointId, change: EndpointOverride) -> Result<(), StoreError> {
        self.write(|state| {
            // Which limit holds is known with the next claim.
            state.endpoints.entry(endpoint.clone()).or_default().limit = None;
            if change == EndpointOverride::default() {
                state.desk.overrides.remove(&endpoint);
            } else {
                state.desk.overrides.insert(endpoint, change);
            }
            state.wake_queue();
        });
        Ok(())
    }

    async fn overrides(&self, n: u32) -> Result<Vec<(EndpointId, EndpointOverride)>, StoreError> {
        let state = self.read();
        let all = state.desk.overrides.iter().take(n as usize);
        Ok(all.map(|(endpoint, change)| (endpoint.clone(), change.clone())).collect())
    }

    async fn forget_abandoned(&self, endpoint: EndpointId, now: Timestamp) -> Result<u32, StoreError> {
        Ok(self.write(|state| {
            let Some(queue) = state.endpoints.get_mut(&endpoint) else { return 0 };
            let forgotten = queue.abandoned(now);
            queue.abandoned.clear();
            state.wake_queue();
            forgotten
        }))
    }

    async fn stuck(&self, ask: StuckAsk) -> Result<Stuck, StoreError> {
        let state = self.read();
        let n = ask.n as usize;
        let expired = state.leases.iter().take_while(|(until, ..)| *until < ask.now).take(n);
        let lease = |(until, job, n): &(Timestamp, usize, u32)| ExpiredLease {
            execution: ExecutionId { job: state.jobs[*job].id, n: *n },
            worker: state.execution(*job, *n).worker.clone(),
            expired_at: *until,
        };
        let open = state.deadlines.iter().map(|(_, place)| &state.jobs[*place]);
        let idle = open.filter(|job| is_idle(job, ask.idle_since)).map(|job| job.id).take(n);
        Ok(Stuck {
            expired: expired.map(lease).collect(),
            idle: idle.collect(),
            unclosed: state.unclosed(ask.n),
        })
    }
}

fn is_idle(job: &Job, since: Timestamp) -> bool {
    let dispatched = || job.executions.iter().filter_map(|one| one.started_at).max();
    job.paused.is_none()
        && job.accepted_at < since
        && !job.executions.iter().any(|one| one.state == ExecutionState::Running)
        && dispatched().is_none_or(|at| at < since)
}

impl State {
    fn steer(&mut self, job: JobId, pause: Option<Paused>) -> Result<Steered, StoreError> {
        let place = self.place(job)?;
        let job = &mut self.jobs[place];
        let changed = job.ended_at.is_none() && job.paused.is_some() != pause.is_some();
        if changed {
            job.paused = pause;
        }
        let steered = Steered { changed, state: job.state, paused: job.pause() };
        self.wake_queue();
        self.wake_job(place);
        Ok(steered)
    }

    /// The limit of an endpoint, or `None` if it drains.
    pub(super) fn limit(&self, room: &beacon_domain::Room) -> Option<u32> {
        match self.desk.overrides.get(&room.endpoint) {
            Some(change) if change.drain => None,
            Some(change) => Some(change.limit(room.limit, room.most)),
            None => Some(room.limit),
        }
    }
}
