//! Writes under a lease: what the store took must have matched the fencing token, and what matched must be taken.

use beacon_domain::{
    AttemptId, JobId, LeaseKey, Outcome, Reaped, RecordReport, Recorded, Recording, Renewed, ResumeToken,
    Steered,
};
use beacon_spec::{Close, Timestamp};

use super::{Cause, Ledger};
use crate::history::Who;

const FENCE: &str = "L3: every accepted write matched the fencing token";
const REFUSED: &str = "L3: a write under a live lease is taken";

impl Ledger {
    /// Outcomes were written, or refused.
    pub(crate) fn recorded(&mut self, who: Who, recordings: &[Recording], report: &RecordReport) {
        self.step(who, "record", None, recordings.len() as u64);
        for (recording, recorded) in recordings.iter().zip(&report.recorded) {
            let what = match recorded {
                Recorded::Recorded => "recorded",
                Recorded::Late => "recorded late",
                Recorded::Lost => "refused",
            };
            self.step(who, what, Some(recording.lease.execution), recording.lease.token);
            match recorded {
                Recorded::Recorded => self.took(recording),
                Recorded::Late | Recorded::Lost => self.refused(recording, *recorded),
            }
        }
    }

    fn took(&mut self, recording: &Recording) {
        let (key, name) = (recording.lease, self.name(recording.lease.execution));
        if self.taken.contains(&(key, recording.attempt.number)) {
            return;
        }
        let live = self.is_live(key);
        self.must(live, FENCE, || format!("{name}: an outcome of token {}", key.token));
        self.taken.insert((key, recording.attempt.number));
        let cost = recording.attempt.usage.cost_micros.unwrap_or(0);
        self.spent += cost;
        let Some(job) = self.jobs.get_mut(&key.execution.job) else { return };
        job.cost += cost;
        let cell = &mut job.cells[key.execution.n as usize];
        match &recording.outcome {
            Outcome::Retry { .. } => {}
            _ => cell.results += 1,
        }
        let results = cell.results;
        self.must(results <= 1, "L2: at most one terminal record per execution", || name.clone());
        self.resumes.remove(&key.execution);
        self.end_lease(key.execution, Cause::Recorded);
        if let Outcome::Completed { answer, .. } = &recording.outcome {
            let attempt = AttemptId { execution: key.execution, number: recording.attempt.number };
            let given = self.calls.answered(&answer.text) == Some(attempt);
            self.must(given, "an answer is what the endpoint gave to this very attempt", || name);
        }
    }

    fn refused(&mut self, recording: &Recording, recorded: Recorded) {
        let (key, name) = (recording.lease, self.name(recording.lease.execution));
        let live = self.is_live(key);
        self.must(!live, REFUSED, || format!("{name}: token {} was refused", key.token));
        let known = self.taken.contains(&(key, recording.attempt.number));
        self.must(!known, "a replayed record is acknowledged", || name.clone());
        let ended = self.cell(key.execution).is_some_and(|cell| cell.state.is_terminal());
        self.must(recorded != Recorded::Late || ended, "only what has ended can be late", || name);
    }

    /// A resume token was written, or refused.
    pub(crate) fn checkpointed(&mut self, who: Who, key: LeaseKey, token: &ResumeToken, taken: bool) {
        self.step(
            who,
            if taken { "checkpoint" } else { "checkpoint refused" },
            Some(key.execution),
            key.token,
        );
        let (live, name) = (self.is_live(key), self.name(key.execution));
        self.must(live || !taken, FENCE, || format!("{name}: a resume token of token {}", key.token));
        self.must(!live || taken, REFUSED, || format!("{name}: a resume token of token {}", key.token));
        if taken {
            self.resumes.insert(key.execution, token.0.clone());
            self.saved.insert(key);
        }
    }

    /// Leases were renewed, or found lost.
    pub(crate) fn renewed(&mut self, who: Who, keys: &[LeaseKey], renewed: &[Renewed]) {
        self.step(who, "renew", None, keys.len() as u64);
        for (key, renewed) in keys.iter().zip(renewed) {
            let (live, name) = (self.is_live(*key), self.name(key.execution));
            let kept = matches!(renewed, Renewed::Kept(_));
            self.must(kept == live, "L3: exactly the live leases are renewed", || {
                format!("{name}: token {} {renewed:?}", key.token)
            });
            if let (Renewed::Kept(until), Some(lease)) = (renewed, self.leases.get_mut(&key.execution)) {
                lease.until = *until;
            }
            if !kept {
                self.step(who, "lease found lost", Some(key.execution), key.token);
            }
        }
    }

    /// Leases were given back, before the rows are looked at again.
    pub(crate) fn gave_back(&mut self, who: Who, keys: &[LeaseKey], given: u32) {
        self.step(who, "give back", keys.first().map(|key| key.execution), u64::from(given));
        let live: Vec<LeaseKey> = keys.iter().copied().filter(|key| self.is_live(*key)).collect();
        self.must(live.len() == given as usize, FENCE, || {
            format!("{given} leases of {} given back", live.len())
        });
        for key in live {
            if let Some(lease) = self.leases.get(&key.execution)
                && !self.resumes.contains_key(&key.execution)
            {
                let number = lease.attempt;
                self.given_back.insert(AttemptId { execution: key.execution, number });
            }
            self.end_lease(key.execution, Cause::GivenBack);
        }
    }

    /// A job was cancelled, before the rows are looked at again.
    pub(crate) fn cancelled(&mut self, who: Who, job: JobId) {
        let place = self.place(job) as u64;
        self.step(who, "cancel", None, place);
        self.end_leases(|execution, _| (execution == job).then_some(Cause::Cancelled));
    }

    /// A job was paused or let go on.
    pub(crate) fn steered(&mut self, job: JobId, steered: &Steered) {
        let (paused, place) = (steered.paused.is_some(), self.place(job) as u64);
        self.step(Who::CLIENT, if paused { "pause" } else { "resume" }, None, place);
        if let Some(job) = self.jobs.get_mut(&job) {
            job.paused = paused;
        }
    }

    /// A reaper's round at `now` by its own clock, before the rows are looked at again. Gives the jobs that it must
    /// have changed.
    pub(crate) fn reaped(&mut self, who: Who, now: Timestamp, reaped: &Reaped) -> Vec<JobId> {
        let open = self.jobs.iter().filter(|(_, job)| !job.state.is_terminal());
        let passed: Vec<JobId> = open.filter(|(_, job)| job.deadline <= now).map(|(id, _)| *id).collect();
        let returned = u64::from(reaped.leases_returned);
        self.step(who, "reap", None, returned);
        let (before, mut changed) = (self.leases.clone(), passed.clone());
        self.end_leases(|job, until| {
            let deadline = passed.contains(&job).then_some(Cause::Deadline);
            deadline.or_else(|| (until <= now).then_some(Cause::Expired))
        });
        changed.extend(before.keys().filter(|one| !self.leases.contains_key(one)).map(|one| one.job));
        let nothing = changed.is_empty() && (returned > 0 || reaped.timed_out > 0);
        self.must(!nothing, "L7: nothing is reaped before its time", || format!("{reaped:?}"));
        changed
    }

    fn end_leases(&mut self, ends: impl Fn(JobId, Timestamp) -> Option<Cause>) {
        let ending = self.leases.iter().filter_map(|(execution, lease)| {
            ends(execution.job, lease.until).map(|cause| (*execution, cause))
        });
        for (execution, cause) in ending.collect::<Vec<_>>() {
            self.end_lease(execution, cause);
        }
    }

    /// A job was closed, maybe again.
    pub(crate) fn closed(&mut self, who: Who, id: JobId, close: &Close) {
        let place = self.place(id) as u64;
        self.step(who, "close", None, place);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.closed = true;
        let (ended, expected) = (job.state.is_terminal(), job.cells.len());
        self.must(ended, "L8: only an ended job is closed", || format!("job {place}"));
        let whole = close.body.expected as usize == expected && close.verify().is_ok();
        self.must(whole, "L8: a close is signed and over the whole plan", || format!("job {place}"));
    }
}
