//! Reading in pages: cells, batches, what is recent, and how endpoints stand.

use beacon_domain::{
    BatchView, CellFilter, CellView, EndpointId, EndpointLatency, EndpointStatus, ExecutionId, ExecutionLine,
    JobId, Page, StoreError,
};
use beacon_spec::Timestamp;

use super::{
    job::{Execution, Job},
    queue::{EndpointQueue, Waiting},
    state::State,
    view::{batches, cell},
};
use crate::rules::{PAGE, Window, recent_cursor};

impl State {
    pub(super) fn cells(&self, job: JobId, filter: &CellFilter) -> Result<Page<CellView>, StoreError> {
        let job = &self.jobs[self.place(job)?];
        let range = match &filter.question {
            None => 0..job.executions.len() as u32,
            Some(question) => {
                let batch = job.batches.iter().find(|batch| batch.question.id == *question);
                batch.map_or(0..0, |batch| batch.first..batch.first + batch.counts.total())
            }
        };
        let window = Window::new(filter, range);
        let looked_at = window.first..window.end;
        let cells = looked_at.map(|n| cell(job, n, &job.executions[n as usize]));
        let wanted = cells.filter(|cell| filter.wants(cell)).take(window.rows() as usize);
        Ok(window.page(wanted.collect()))
    }

    pub(super) fn batches(&self, job: JobId) -> Result<Vec<BatchView>, StoreError> {
        Ok(batches(&self.jobs[self.place(job)?]))
    }

    pub(super) fn recent(&self, cursor: Option<&str>, limit: u32) -> Page<ExecutionLine> {
        let limit = if limit == 0 { PAGE } else { limit } as usize;
        let before = recent_cursor(cursor);
        let newest = self.jobs.iter().enumerate().rev().flat_map(|(place, job)| {
            let executions = job.executions.iter().enumerate().rev();
            executions.map(move |(n, execution)| (place as i64, job, n as u32, execution))
        });
        let behind = newest.skip_while(|(place, _, n, _)| (*place, *n as i32) >= before);
        let mut found: Vec<_> = behind.take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(place, _, n, _)| format!("{place}-{n}"));
        let line = |(_, job, n, execution): (i64, &Job, u32, &Execution)| ExecutionLine {
            id: ExecutionId { job: job.id, n },
            cell: cell(job, n, execution),
        };
        Page { items: found.into_iter().map(line).collect(), next }
    }

    pub(super) fn endpoint_statuses(&self, now: Timestamp) -> Vec<EndpointStatus> {
        let status = |(endpoint, queue): (&EndpointId, &EndpointQueue)| {
            let left = self.abandoned(queue, now);
            let waiting = queue.waiting.values().map(Waiting::len).sum::<usize>();
            EndpointStatus {
                endpoint: endpoint.clone(),
                account: queue.account.clone(),
                gate: queue.gate,
                bound: queue.bound,
                limit: queue.limit,
                in_flight: queue.running + left.calls,
                abandoned: left.calls,
                abandoned_until: left.until,
                waiting: waiting.min(EndpointStatus::MOST_WAITING as usize) as u32,
            }
        };
        self.endpoints.iter().map(status).collect()
    }

    pub(super) fn latencies(&self) -> Vec<EndpointLatency> {
        let executions = self.jobs.iter().rev().flat_map(|job| job.executions.iter().rev());
        let results = executions.filter_map(|execution| Some((execution, execution.result.as_ref()?)));
        let newest = results.take(EndpointLatency::MOST_LOOKED_AT as usize);
        EndpointLatency::of(newest.filter(|(_, result)| result.answer.is_some()).filter_map(|(one, _)| {
            // The attempt that ended an execution is its last one that was not late.
            let attempts = one.history.iter().map(|(_, attempt)| attempt).filter(|attempt| !attempt.late);
            Some((one.endpoint.clone()?, attempts.max_by_key(|attempt| attempt.number)?.duration))
        }))
    }
}
