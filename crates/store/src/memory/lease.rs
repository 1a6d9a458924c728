//! Leases after the claim: renewed, check-pointed, given back, reaped (L3, L7).

use std::time::Duration;

use beacon_domain::{ExecutionState, LeaseKey, LossReason, Parting, Reaped, Renewed, ResumeToken};
use beacon_spec::Timestamp;

use super::{job::Outcome, state::State};
use crate::rules::{MOST_EXPIRIES, budget_error, loss, poison_error};

impl State {
    pub(super) fn renew(&mut self, leases: &[LeaseKey], lease: Duration, now: Timestamp) -> Vec<Renewed> {
        let until = now.checked_add(lease).unwrap_or(Timestamp::MAX);
        let renew = |key: &LeaseKey| {
            let Some((job, n)) = self.find(key.execution) else {
                return Renewed::Lost(LossReason::Reclaimed);
            };
            if !self.holds(job, *key) {
                return Renewed::Lost(loss(self.execution(job, n).state));
            }
            self.extend(job, n, until);
            Renewed::Kept(until)
        };
        leases.iter().map(renew).collect()
    }

    pub(super) fn checkpoint(&mut self, lease: LeaseKey, token: ResumeToken) -> bool {
        let held = self.find(lease.execution).filter(|(job, _)| self.holds(*job, lease));
        let Some((job, n)) = held else { return false };
        self.execution_mut(job, n).resume = Some(token);
        true
    }

    /// A call that is check-pointed stays the same attempt; any other one was not one.
    pub(super) fn give_back(&mut self, leases: &[LeaseKey], parting: Parting, now: Timestamp) -> u32 {
        let mut given = 0;
        for key in leases {
            let Some((job, n)) = self.find(key.execution) else { continue };
            if self.holds(job, *key) {
                self.return_held(job, n, now);
                given += 1;
            } else if self.execution(job, n).token == key.token {
                self.let_go(job, n);
            }
            if parting == Parting::Abandoned {
                self.abandon(job, n, key.token, now, now);
            }
        }
        given
    }

    fn return_held(&mut self, job: usize, n: u32, now: Timestamp) {
        if self.jobs[job].reason.is_some() {
            let result = Outcome::of_error(budget_error());
            self.end_running(job, n, ExecutionState::Cancelled, result, now);
        } else {
            let execution = self.execution_mut(job, n);
            execution.attempts -= u32::from(execution.resume.is_none());
            self.change(job, n, ExecutionState::Queued, Some(now));
        }
        self.wake_queue();
        self.wake_job(job);
    }

    pub(super) fn reap(&mut self, n: u32, now: Timestamp) -> Reaped {
        let mut reaped = Reaped::default();
        let late = self.deadlines.iter().take_while(|(at, _)| *at <= now).take(n as usize);
        let late: Vec<usize> = late.map(|(_, job)| *job).collect();
        for job in late {
            let (timed_out, ended) = self.time_out(job, now);
            reaped.timed_out += timed_out;
            ended.report(&mut reaped.batches_done, &mut reaped.jobs_ended);
        }
        self.forget_abandoned(now);
        let expired = self.leases.iter().take_while(|(at, ..)| *at <= now).take(n as usize);
        let expired: Vec<_> = expired.copied().collect();
        for (ended, job, n) in expired {
            self.expire(job, n, now, &mut reaped);
            // Its worker is gone, or stands still; its endpoint may not have noticed. The lease's end is the last time at which
            // the worker surely was there, so that it does not matter how late we are.
            self.abandon(job, n, self.execution(job, n).token, ended, now);
        }
        reaped
    }

    fn expire(&mut self, job: usize, n: u32, now: Timestamp, reaped: &mut Reaped) {
        if self.let_go(job, n) {
            return;
        }
        self.wake_queue();
        self.wake_job(job);
        let ending = self.jobs[job].reason.is_some();
        let execution = self.execution_mut(job, n);
        execution.expiries += 1;
        if !ending && execution.expiries < MOST_EXPIRIES {
            self.change(job, n, ExecutionState::Queued, None);
            reaped.leases_returned += 1;
            return;
        }
        let (state, error) = if ending {
            (ExecutionState::Cancelled, budget_error())
        } else {
            (ExecutionState::Failed, poison_error())
        };
        let ended = self.end_running(job, n, state, Outcome::of_error(error), now);
        ended.report(&mut reaped.batches_done, &mut reaped.jobs_ended);
    }
}
