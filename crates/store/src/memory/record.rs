//! Recording: what came of attempts, guarded by the fencing token (L3).

use std::collections::BTreeSet;

use beacon_domain::{ExecutionState, Outcome, Parting, RecordReport, Recorded, Recording};
use beacon_spec::{Receipt, Timestamp};

use super::{job, state::State};
use crate::rules::{Ended, MOST_MICROS, budget_error, day};

impl State {
    pub(super) fn record(&mut self, recordings: Vec<Recording>, now: Timestamp) -> RecordReport {
        let mut report = RecordReport::default();
        let mut jobs = BTreeSet::new();
        for recording in recordings {
            jobs.extend(self.by_id.get(&recording.lease.execution.job));
            let (lease, parting) = (recording.lease, recording.parting());
            let recorded = self.record_one(recording, now, &mut report);
            if let Some((job, n)) = self.find(lease.execution).filter(|_| parting == Parting::Abandoned) {
                self.abandon(job, n, lease.token, now, now);
            }
            report.recorded.push(recorded);
        }
        for job in jobs {
            let ended = self.end_if_over_budget(job, now);
            ended.report(&mut report.batches_done, &mut report.jobs_ended);
        }
        report
    }

    fn record_one(&mut self, recording: Recording, now: Timestamp, report: &mut RecordReport) -> Recorded {
        let Some((job, n)) = self.find(recording.lease.execution) else { return Recorded::Lost };
        if !self.holds(job, recording.lease) {
            return self.record_stale(recording, job, n);
        }
        let cost = recording.attempt.usage.cost_micros.unwrap_or(0);
        let job_cost = &mut self.jobs[job].cost_micros;
        *job_cost = job_cost.saturating_add(cost).min(MOST_MICROS);
        let spent = self.spend.entry(day(now)).or_default();
        *spent = spent.saturating_add(cost).min(MOST_MICROS);
        self.execution_mut(job, n).history.push((recording.lease.token, recording.attempt));
        self.wake_job(job);
        let ending = self.jobs[job].reason.is_some();
        let (state, result) = match recording.outcome {
            Outcome::Retry { not_before, counts } if !ending => {
                self.requeue(job, n, not_before, counts);
                return Recorded::Recorded;
            }
            // Only a job that is ending comes here: nothing of it is tried again.
            Outcome::Retry { .. } => (ExecutionState::Cancelled, job::Outcome::of_error(budget_error())),
            Outcome::Completed { answer, receipt } => {
                let receipt = Some(with_hash(*receipt));
                (ExecutionState::Completed, job::Outcome { answer: Some(*answer), error: None, receipt })
            }
            Outcome::Failed { error, receipt } => {
                let receipt = Some(with_hash(*receipt));
                (ExecutionState::Failed, job::Outcome { answer: None, error: Some(error), receipt })
            }
            Outcome::TimedOut { error, receipt } => {
                let receipt = Some(with_hash(*receipt));
                (ExecutionState::TimedOut, job::Outcome { answer: None, error: Some(error), receipt })
            }
        };
        self.end_running(job, n, state, result, now).report(&mut report.batches_done, &mut report.jobs_ended);
        Recorded::Recorded
    }

    /// A lease that is not held any more: a replay, a late answer, or lost.
    fn record_stale(&mut self, recording: Recording, job: usize, n: u32) -> Recorded {
        let execution = self.execution_mut(job, n);
        let (token, number) = (recording.lease.token, recording.attempt.number);
        let known = execution.history.iter().find(|(t, attempt)| (*t, attempt.number) == (token, number));
        match known {
            Some((_, attempt)) if attempt.late => return Recorded::Late,
            Some(_) => return Recorded::Recorded,
            None => {}
        }
        if !matches!(execution.state, ExecutionState::Cancelled | ExecutionState::TimedOut) {
            return Recorded::Lost;
        }
        let mut attempt = recording.attempt;
        attempt.late = true;
        execution.history.push((token, attempt));
        if execution.token == token {
            self.let_go(job, n);
        }
        self.wake_job(job);
        Recorded::Late
    }

    fn requeue(&mut self, job: usize, n: u32, not_before: Timestamp, counts: bool) {
        let execution = self.execution_mut(job, n);
        execution.failures += u32::from(counts);
        execution.throttles += u32::from(!counts);
        execution.resume = None;
        self.change(job, n, ExecutionState::Queued, Some(not_before));
        self.wake_queue();
    }

    /// A running execution ends, and with it maybe its batch and its job.
    pub(super) fn end_running(
        &mut self,
        job: usize,
        n: u32,
        state: ExecutionState,
        result: job::Outcome,
        now: Timestamp,
    ) -> Ended {
        self.change(job, n, state, None);
        let execution = self.execution_mut(job, n);
        debug_assert!(execution.result.is_none(), "an execution has one result");
        execution.result = Some(result);
        let batch = execution.batch as usize;
        if self.jobs[job].batches[batch].counts.open() > 0 {
            return Ended::default();
        }
        self.settle_batch(job, batch, now)
    }
}

fn with_hash(receipt: Receipt) -> (Receipt, beacon_spec::Sha256Digest) {
    let hash = receipt.hash();
    (receipt, hash)
}
