//! Acceptance: the job, its batches and every execution at once (L1).

use beacon_domain::{
    Acceptance, Accepted, BatchState, Batching, ExecutionState, JobState, PlannedExecution, StateCounts,
    StoreError,
};
use beacon_spec::Timestamp;

use super::{
    job::{Batch, Execution, Job},
    state::State,
};

impl State {
    pub(super) fn accept(&mut self, acceptance: Acceptance) -> Result<Accepted, StoreError> {
        let spec = &acceptance.spec;
        let present = self.by_id.get(&acceptance.job).map(|place| &self.jobs[*place]);
        if let Some(job) = present.filter(|job| job.spec.digest() == spec.digest()) {
            return Ok(Accepted::Existing(job.id, job.state));
        }
        let point = (*spec.public_key(), *spec.signature_point());
        if self.points.get(&point).is_some_and(|known| *known != spec.canonical_digest()) {
            return Err(StoreError::KeyCompromised);
        }
        if present.is_some() {
            return Err(StoreError::Conflict(acceptance.job));
        }
        let nonce = spec.spec().nonce.clone().map(|nonce| (*spec.public_key(), nonce));
        let user = nonce.as_ref().and_then(|nonce| self.nonces.get(nonce));
        if let Some(user) = user.filter(|_| acceptance.nonce_must_be_new) {
            return Err(StoreError::Replayed(*user));
        }
        let cost_cap_micros = self.admit(&acceptance)?;
        let acceptance = Acceptance { cost_cap_micros, ..acceptance };
        self.points.insert(point, acceptance.spec.canonical_digest());
        let (id, now) = (acceptance.job, acceptance.now);
        if let Some(nonce) = nonce {
            self.nonces.entry(nonce).or_insert(id);
        }
        let place = self.jobs.len();
        let job = job(acceptance);
        self.by_id.insert(id, place);
        self.deadlines.insert((job.deadline, place));
        for (n, execution) in job.executions.iter().enumerate() {
            if let Some(endpoint) = &execution.endpoint {
                let queue = self.endpoints.entry(endpoint.clone()).or_default();
                if execution.state == ExecutionState::Queued {
                    queue.push(place, n as u32, None);
                }
            }
        }
        self.jobs.push(job);
        self.settle(place, now);
        self.wake_queue();
        self.wake_job(place);
        Ok(Accepted::New(id))
    }
}

fn job(acceptance: Acceptance) -> Job {
    let Acceptance { plan, spec, now, .. } = acceptance;
    let executions: Vec<_> =
        plan.executions.into_iter().map(|cell| execution(cell, plan.batching, now)).collect();
    let mut batches: Vec<Batch> = plan
        .batches
        .into_iter()
        .map(|batch| Batch {
            question: batch.question,
            state: if plan.batching == Batching::Question { BatchState::Blocked } else { BatchState::Open },
            counts: StateCounts::default(),
            first: u32::MAX,
            started_at: None,
            ended_at: None,
        })
        .collect();
    for (n, execution) in executions.iter().enumerate() {
        let batch = &mut batches[execution.batch as usize];
        *batch.counts.of_mut(execution.state) += 1;
        batch.first = batch.first.min(n as u32);
    }
    Job {
        id: acceptance.job,
        generation: acceptance.generation,
        retry_of: acceptance.retry_of,
        spec,
        batching: plan.batching,
        sampling: plan.sampling,
        weight: acceptance.weight.max(1),
        trace_id: acceptance.job.to_string().into(),
        accepted_at: now,
        deadline: acceptance.deadline,
        lower_bound: acceptance.lower_bound,
        cost_cap_micros: acceptance.cost_cap_micros,
        cost_micros: 0,
        state: JobState::Queued,
        reason: None,
        ended_by: None,
        paused: None,
        verdict: None,
        started_at: None,
        ended_at: None,
        close: None,
        first_undone: 0,
        undone: batches.len(),
        batches,
        executions,
    }
}

fn execution(cell: PlannedExecution, batching: Batching, now: Timestamp) -> Execution {
    let (state, queued_at) = match (&cell.endpoint, batching) {
        (None, _) => (ExecutionState::Unsupported, None),
        (Some(_), Batching::Question) => (ExecutionState::Blocked, None),
        (Some(_), Batching::Endpoint) => (ExecutionState::Queued, Some(now)),
    };
    Execution {
        batch: cell.batch,
        model: cell.model,
        region: cell.region,
        run: cell.run,
        endpoint: cell.endpoint,
        state,
        not_before: None,
        attempts: 0,
        failures: 0,
        throttles: 0,
        expiries: 0,
        token: 0,
        queued_at,
        started_at: None,
        lease_until: Timestamp::MAX,
        worker: None,
        lingers: false,
        resume: None,
        history: Vec::new(),
        result: None,
    }
}
