//! Reading: jobs, matrices, records, progress, and what a signed close needs.

use std::collections::BTreeMap;

use beacon_domain::{
    BatchView, CellView, EndpointView, ExecutionId, ExecutionRecord, ExecutionState, Failure, JobFilter,
    JobId, JobSummary, Matrix, Page, Progress, ReceiptLeaf, StateCounts, StoreError,
};
use beacon_spec::Timestamp;

use super::{
    job::{Batch, Execution, Job},
    state::State,
};
use crate::{
    failures::{Failures, cause, is_failure},
    rules::{PAGE, implied_error},
};

impl State {
    pub(super) fn job(&self, job: JobId) -> Option<JobSummary> {
        self.by_id.get(&job).map(|place| summary(&self.jobs[*place]))
    }

    pub(super) fn page(&self, filter: &JobFilter) -> Page<JobSummary> {
        let limit = if filter.limit == 0 { PAGE } else { filter.limit } as usize;
        let before = filter.cursor.as_ref().and_then(|cursor| cursor.parse().ok()).unwrap_or(self.jobs.len());
        let wanted = |job: &Job| {
            filter.name.as_ref().is_none_or(|name| *name == job.spec.spec().name)
                && filter.key.as_ref().is_none_or(|key| key == job.spec.key())
                && filter.state.is_none_or(|state| state == job.state)
        };
        let newest = self.jobs.iter().enumerate().take(before).rev();
        let mut found: Vec<_> = newest.filter(|(_, job)| wanted(job)).take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(place, _)| place.to_string());
        Page { items: found.into_iter().map(|(_, job)| summary(job)).collect(), next }
    }

    pub(super) fn matrix(&self, job: JobId) -> Result<Matrix, StoreError> {
        let held = &self.jobs[self.place(job)?];
        let cells = held.executions.iter().enumerate().map(|(n, one)| cell(held, n as u32, one));
        Ok(Matrix { job, cells: cells.collect() })
    }

    pub(super) fn records(&self, job: JobId, after: Option<u32>, limit: u32) -> Vec<ExecutionRecord> {
        let Some(place) = self.by_id.get(&job) else { return Vec::new() };
        let job = &self.jobs[*place];
        let first = after.map_or(0, |after| after as usize + 1);
        let wanted = job.executions.iter().enumerate().skip(first).take(limit as usize);
        wanted.map(|(n, one)| record(job, n as u32, one)).collect()
    }

    pub(super) fn progress(&self, job: JobId, now: Timestamp) -> Result<Progress, StoreError> {
        let job = &self.jobs[self.place(job)?];
        Ok(Progress { job: summary(job), batches: batches(job), endpoints: self.endpoints_of(job, now) })
    }

    fn endpoints_of(&self, job: &Job, now: Timestamp) -> Vec<EndpointView> {
        let mut views = BTreeMap::new();
        for execution in &job.executions {
            let Some(endpoint) = &execution.endpoint else { continue };
            let queue = self.endpoints.get(endpoint);
            let view = views.entry(endpoint).or_insert_with(|| {
                let left = queue.map(|queue| self.abandoned(queue, now)).unwrap_or_default();
                EndpointView {
                    endpoint: endpoint.clone(),
                    model: execution.model.clone(),
                    region: execution.region,
                    counts: StateCounts::default(),
                    gate: queue.and_then(|queue| queue.gate),
                    bound: queue.and_then(|queue| queue.bound),
                    limit: queue.and_then(|queue| queue.limit),
                    in_flight: queue.map_or(0, |queue| queue.running) + left.calls,
                    abandoned: left.calls,
                    abandoned_until: left.until,
                }
            });
            *view.counts.of_mut(execution.state) += 1;
        }
        views.into_values().collect()
    }

    pub(super) fn failures(&self, job: JobId) -> Result<Vec<Failure>, StoreError> {
        let job = &self.jobs[self.place(job)?];
        let mut failures = Failures::default();
        for execution in job.executions.iter().filter(|execution| is_failure(execution.state)) {
            let implied = || implied_error(execution.state, job.reason, job.ended_by.as_deref());
            let result = execution.result.as_ref();
            let Some(error) = result.map_or_else(implied, |result| result.error.clone()) else { continue };
            let mut history: Vec<_> = execution.history.iter().collect();
            history.sort_by_key(|(token, attempt)| std::cmp::Reverse((attempt.number, *token)));
            let cause = cause(&error, history.into_iter().map(|(_, attempt)| attempt));
            failures.add(execution.endpoint.clone(), execution.state, cause);
        }
        Ok(failures.by_frequency())
    }

    pub(super) fn unclosed(&self, n: u32) -> Vec<JobId> {
        self.unclosed.iter().take(n as usize).map(|place| self.jobs[*place].id).collect()
    }

    pub(super) fn leaves(&self, job: JobId, after: Option<u32>, limit: u32) -> Vec<ReceiptLeaf> {
        let Some(place) = self.by_id.get(&job) else { return Vec::new() };
        let first = after.map_or(0, |after| after as usize + 1);
        let executions = self.jobs[*place].executions.iter().enumerate().skip(first);
        let leaves = executions.filter_map(|(n, one)| {
            let (_, hash) = one.result.as_ref()?.receipt.as_ref()?;
            Some(ReceiptLeaf { execution: ExecutionId { job, n: n as u32 }, hash: *hash })
        });
        leaves.take(limit as usize).collect()
    }
}

fn summary(job: &Job) -> JobSummary {
    JobSummary {
        id: job.id,
        name: job.spec.spec().name.clone(),
        key: job.spec.key().clone(),
        generation: job.generation,
        retry_of: job.retry_of,
        state: job.state,
        reason: job.reason,
        verdict: job.verdict,
        paused: job.pause(),
        counts: job.counts(),
        batching: job.batching,
        spec_digest: job.spec.digest(),
        accepted_at: job.accepted_at,
        started_at: job.started_at,
        ended_at: job.ended_at,
        deadline: job.deadline,
        lower_bound: job.lower_bound,
        cost_micros: job.cost_micros,
        cost_cap_micros: job.cost_cap_micros,
        close: job.close.clone(),
    }
}

pub(super) fn batches(job: &Job) -> Vec<BatchView> {
    let view = |(b, batch): (usize, &Batch)| BatchView {
        question: batch.question.id.clone(),
        text: batch.question.text.to_string(),
        number: b as u32 + 1,
        state: batch.state,
        counts: batch.counts,
        started_at: batch.started_at,
        ended_at: batch.ended_at,
    };
    job.batches.iter().enumerate().map(view).collect()
}

pub(super) fn cell(job: &Job, n: u32, execution: &Execution) -> CellView {
    CellView {
        n,
        question: job.batches[execution.batch as usize].question.id.clone(),
        model: execution.model.clone(),
        region: execution.region,
        run: execution.run,
        endpoint: execution.endpoint.clone(),
        state: execution.state,
        attempts: execution.attempts,
        started_at: execution.started_at,
        not_before: execution.not_before.filter(|_| execution.state == ExecutionState::Queued),
        resumable: execution.resume.is_some(),
    }
}

fn record(job: &Job, n: u32, execution: &Execution) -> ExecutionRecord {
    let result = execution.result.as_ref();
    let mut attempts: Vec<_> = execution.history.iter().collect();
    // A late attempt stands where its number puts it.
    attempts.sort_by_key(|(token, attempt)| (attempt.number, *token));
    let implied = || implied_error(execution.state, job.reason, job.ended_by.as_deref());
    ExecutionRecord {
        id: ExecutionId { job: job.id, n },
        cell: cell(job, n, execution),
        prompt: job.batches[execution.batch as usize].question.text.to_string(),
        attempts: attempts.into_iter().map(|(_, attempt)| attempt.clone()).collect(),
        answer: result.and_then(|result| result.answer.clone()),
        error: result.map_or_else(implied, |result| result.error.clone()),
        receipt: result.and_then(|result| result.receipt.as_ref()).map(|(receipt, _)| receipt.clone()),
    }
}
