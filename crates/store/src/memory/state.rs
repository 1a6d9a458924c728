//! Everything the memory store holds, and the one place where an execution changes its state.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use beacon_domain::{EndpointId, ExecutionId, ExecutionState, JobId, LeaseKey, StoreError, Topic};
use beacon_spec::{Sha256Digest, Timestamp};

use super::{
    desk::Desk,
    job::{Execution, Job},
    queue::EndpointQueue,
};

/// All jobs and their queues. A job is named by its place in `jobs`.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) jobs: Vec<Job>,
    pub(super) by_id: HashMap<JobId, usize>,
    pub(super) endpoints: BTreeMap<EndpointId, EndpointQueue>,
    /// Running executions, and those whose call may still run, by the end of their lease.
    pub(super) leases: BTreeSet<(Timestamp, usize, u32)>,
    /// Jobs that have not ended, by deadline.
    pub(super) deadlines: BTreeSet<(Timestamp, usize)>,
    /// Ended jobs without a close.
    pub(super) unclosed: BTreeSet<usize>,
    /// The first job of each nonce.
    pub(super) nonces: HashMap<([u8; 32], String), JobId>,
    pub(super) points: HashMap<([u8; 32], [u8; 32]), Sha256Digest>,
    /// Millionths of a dollar by days since 1970 UTC.
    pub(super) spend: HashMap<i64, u64>,
    pub(super) desk: Desk,
    pub(super) wakes: BTreeSet<Topic>,
}

impl State {
    /// The place of a job.
    pub(super) fn place(&self, job: JobId) -> Result<usize, StoreError> {
        self.by_id.get(&job).copied().ok_or(StoreError::UnknownJob(job))
    }

    /// The place of the execution behind a lease, whether or not the lease is held.
    pub(super) fn find(&self, execution: ExecutionId) -> Option<(usize, u32)> {
        let job = *self.by_id.get(&execution.job)?;
        (usize::try_from(execution.n).ok()? < self.jobs[job].executions.len()).then_some((job, execution.n))
    }

    /// Whether the lease is held.
    pub(super) fn holds(&self, job: usize, key: LeaseKey) -> bool {
        let execution = self.execution(job, key.execution.n);
        execution.state == ExecutionState::Running && execution.token == key.token
    }

    pub(super) fn execution(&self, job: usize, n: u32) -> &Execution {
        &self.jobs[job].executions[n as usize]
    }

    pub(super) fn execution_mut(&mut self, job: usize, n: u32) -> &mut Execution {
        &mut self.jobs[job].executions[n as usize]
    }

    pub(super) fn wake_queue(&mut self) {
        self.wakes.insert(Topic::Queue);
    }

    pub(super) fn wake_job(&mut self, job: usize) {
        self.wakes.insert(Topic::Job(self.jobs[job].id));
    }

    /// Moves an execution to another state, with its counts, its place in the queue and its lease.
    /// `not_before` matters only for `queued`, `lease_until` only for `running`.
    pub(super) fn change(&mut self, job: usize, n: u32, to: ExecutionState, until: Option<Timestamp>) {
        let Job { executions, batches, .. } = &mut self.jobs[job];
        let execution = &mut executions[n as usize];
        let from = execution.state;
        debug_assert!(from.may_become(to), "{from} never becomes {to}");
        let counts = &mut batches[execution.batch as usize].counts;
        *counts.of_mut(from) -= 1;
        *counts.of_mut(to) += 1;
        execution.state = to;
        let endpoint = execution.endpoint.as_ref().and_then(|endpoint| self.endpoints.get_mut(endpoint));
        let Some(queue) = endpoint else { return };
        match from {
            ExecutionState::Queued => queue.remove(job, n, execution.not_before),
            ExecutionState::Running => {
                queue.running -= 1;
                self.leases.remove(&(execution.lease_until, job, n));
            }
            _ => {}
        }
        match to {
            ExecutionState::Queued => {
                execution.not_before = until;
                queue.push(job, n, until);
            }
            ExecutionState::Running => {
                execution.lease_until = until.unwrap_or(Timestamp::MAX);
                queue.running += 1;
                self.leases.insert((execution.lease_until, job, n));
            }
            _ => execution.resume = None,
        }
    }

    /// Ends a running execution whose call goes on until its worker hears of it: its slot is not free before (S1).
    pub(super) fn end_before_its_call(&mut self, job: usize, n: u32, to: ExecutionState) {
        self.change(job, n, to, None);
        let execution = &mut self.jobs[job].executions[n as usize];
        execution.lingers = true;
        self.leases.insert((execution.lease_until, job, n));
        let endpoint = execution.endpoint.as_ref().and_then(|endpoint| self.endpoints.get_mut(endpoint));
        endpoint.into_iter().for_each(|queue| queue.running += 1);
    }

    /// The call of an ended execution is gone. `false` if none was left.
    pub(super) fn let_go(&mut self, job: usize, n: u32) -> bool {
        let execution = &mut self.jobs[job].executions[n as usize];
        if !std::mem::take(&mut execution.lingers) {
            return false;
        }
        self.leases.remove(&(execution.lease_until, job, n));
        let endpoint = execution.endpoint.as_ref().and_then(|endpoint| self.endpoints.get_mut(endpoint));
        endpoint.into_iter().for_each(|queue| queue.running -= 1);
        self.wake_queue();
        true
    }

    /// Moves the end of a held lease.
    pub(super) fn extend(&mut self, job: usize, n: u32, until: Timestamp) {
        let execution = self.execution_mut(job, n);
        let before = std::mem::replace(&mut execution.lease_until, until);
        self.leases.remove(&(before, job, n));
        self.leases.insert((until, job, n));
    }
}
