//! How batches and jobs end: always in the change that ends their last execution (L5).

use std::{collections::BTreeSet, time::Duration};

use beacon_domain::{
    BatchDone, BatchState, Batching, CancelReason, Cancelled, EndReason, ExecutionState, JobEnded, JobId,
    JobState, StoreError, Verdict,
};
use beacon_spec::{Close, Timestamp};

use super::state::State;
use crate::rules::Ended;

impl State {
    /// Opens what may be open now, and ends every batch that has nothing open, and the job if that was all.
    pub(super) fn settle(&mut self, job: usize, now: Timestamp) -> Ended {
        let mut ended = Ended::default();
        for b in self.jobs[job].first_undone..self.jobs[job].batches.len() {
            if self.jobs[job].batches[b].state == BatchState::Done {
                continue;
            }
            self.open_batch(job, b, now);
            if self.jobs[job].batches[b].counts.open() == 0 {
                ended.batches.push(self.end_batch(job, b, now));
            } else if self.jobs[job].batching == Batching::Question {
                return ended;
            }
        }
        ended.jobs.extend(self.end_job_if_done(job, now));
        ended
    }

    /// A batch has nothing open any more: ends it, and opens the next one or ends the job.
    pub(super) fn settle_batch(&mut self, job: usize, b: usize, now: Timestamp) -> Ended {
        if self.jobs[job].batching == Batching::Question {
            // It is the first one that is not done.
            return self.settle(job, now);
        }
        let batches = vec![self.end_batch(job, b, now)];
        Ended { batches, jobs: self.end_job_if_done(job, now).into_iter().collect(), opened: false }
    }

    fn open_batch(&mut self, job: usize, b: usize, now: Timestamp) {
        let batch = &mut self.jobs[job].batches[b];
        if batch.state != BatchState::Blocked {
            return;
        }
        batch.state = BatchState::Open;
        let first = batch.first;
        for n in first..first.saturating_add(batch.counts.total()) {
            let execution = self.execution_mut(job, n);
            if execution.state == ExecutionState::Blocked {
                execution.queued_at = Some(now);
                self.change(job, n, ExecutionState::Queued, None);
            }
        }
        self.wake_queue();
    }

    fn end_batch(&mut self, job: usize, b: usize, now: Timestamp) -> BatchDone {
        let job = &mut self.jobs[job];
        let total = job.batches.len() as u32;
        let batch = &mut job.batches[b];
        batch.state = BatchState::Done;
        batch.ended_at = Some(now);
        job.undone -= 1;
        let duration =
            batch.started_at.and_then(|started| Duration::try_from(now.duration_since(started)).ok());
        let done = BatchDone {
            job: job.id,
            question: batch.question.id.clone(),
            number: b as u32 + 1,
            total,
            counts: batch.counts,
            duration: duration.unwrap_or_default(),
        };
        while job.batches.get(job.first_undone).is_some_and(|batch| batch.state == BatchState::Done) {
            job.first_undone += 1;
        }
        done
    }

    fn end_job_if_done(&mut self, place: usize, now: Timestamp) -> Option<JobEnded> {
        let job = &mut self.jobs[place];
        if job.undone > 0 || job.ended_at.is_some() {
            return None;
        }
        let counts = job.counts();
        let completed = job.executions.iter().filter(|one| one.state == ExecutionState::Completed);
        let regions: BTreeSet<_> = completed.map(|one| one.region).collect();
        let minima = &job.spec.spec().constraints;
        let verdict = Verdict::of(&counts, regions.len() as u32, minima.min_success_rate, minima.min_regions);
        job.state = JobState::at_end(&counts, job.reason);
        job.verdict = Some(verdict);
        job.ended_at = Some(now);
        let ended = JobEnded { job: job.id, state: job.state, counts, reason: job.reason };
        self.deadlines.remove(&(self.jobs[place].deadline, place));
        self.unclosed.insert(place);
        self.wake_job(place);
        self.wake_queue();
        Some(ended)
    }

    pub(super) fn cancel(
        &mut self,
        job: JobId,
        why: &CancelReason,
        now: Timestamp,
    ) -> Result<Cancelled, StoreError> {
        let place = self.place(job)?;
        Ok(self.end_early(place, why, now).0)
    }

    /// Ends a job whose cost has reached its cap (O3).
    pub(super) fn end_if_over_budget(&mut self, place: usize, now: Timestamp) -> Ended {
        let job = &self.jobs[place];
        if job.ended_at.is_some() || job.reason.is_some() || job.is_claimable() {
            return Ended::default();
        }
        self.end_early(place, &CancelReason::Budget, now).1
    }

    fn end_early(&mut self, place: usize, why: &CancelReason, now: Timestamp) -> (Cancelled, Ended) {
        let job = &mut self.jobs[place];
        if job.state.is_terminal() {
            let (state, reason) = (job.state, job.reason);
            let cancelled = Cancelled { already_ended: true, state, waiting: 0, in_flight: 0, reason };
            return (cancelled, Ended::default());
        }
        let reason = match why {
            CancelReason::By(by) => {
                job.ended_by = Some(by.clone());
                EndReason::Cancel
            }
            CancelReason::Budget => EndReason::Budget,
        };
        job.reason = Some(reason);
        let before = job.counts();
        self.end_open(place, ExecutionState::Cancelled, reason == EndReason::Cancel, now);
        let ended = self.settle(place, now);
        self.wake_queue();
        self.wake_job(place);
        let cancelled = Cancelled {
            already_ended: false,
            state: self.jobs[place].state,
            waiting: before.blocked + before.queued,
            in_flight: before.running,
            reason: Some(reason),
        };
        (cancelled, ended)
    }

    /// Ends every open execution of a job whose deadline has passed.
    pub(super) fn time_out(&mut self, place: usize, now: Timestamp) -> (u32, Ended) {
        self.jobs[place].reason = Some(EndReason::Deadline);
        let open = self.jobs[place].counts().open();
        self.end_open(place, ExecutionState::TimedOut, true, now);
        self.wake_queue();
        (open, self.settle(place, now))
    }

    fn end_open(&mut self, place: usize, state: ExecutionState, running_too: bool, now: Timestamp) {
        self.not_found_again(place, now);
        for n in 0..self.jobs[place].executions.len() as u32 {
            let execution = self.execution_mut(place, n);
            let running = execution.state == ExecutionState::Running;
            if execution.state.is_terminal() || (running && !running_too) {
                continue;
            }
            if running {
                self.end_before_its_call(place, n, state);
            } else {
                self.change(place, n, state, None);
            }
        }
    }

    pub(super) fn close(&mut self, job: JobId, close: Close) -> Result<(), StoreError> {
        let place = self.place(job)?;
        if self.unclosed.remove(&place) {
            self.jobs[place].close = Some(close);
            self.wake_job(place);
        }
        Ok(())
    }
}
