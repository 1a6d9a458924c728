//! The store's rows after a change: transitions, counts, the order of batches, and leases that match.

use beacon_domain::{Batching, CellView, ExecutionId, ExecutionState, JobId, JobSummary, StateCounts};

use super::{Cell, Ledger};

impl Ledger {
    /// The rows of a job after a step that may have changed them.
    pub(crate) fn rows(&mut self, summary: &JobSummary, cells: &[CellView]) {
        let id = summary.id;
        let Some(job) = self.jobs.get(&id) else { return };
        let (place, planned) = (job.place, job.cells.len());
        self.must(cells.len() == planned, "L1: rows neither come nor go", || format!("job {place}"));
        for (n, cell) in cells.iter().enumerate() {
            self.moved(ExecutionId { job: id, n: n as u32 }, cell);
        }
        self.counts_equal_rows(summary, cells);
        self.job_follows_rows(summary);
        self.batches_are_in_order(id);
    }

    fn moved(&mut self, execution: ExecutionId, now: &CellView) {
        let Some(cell) = self.cell(execution) else { return };
        let (from, name) = (cell.state, self.name(execution));
        let allowed = from == now.state || from.may_become(now.state);
        let invariant = if from.is_terminal() {
            "L4: terminal states never change"
        } else {
            "L4: states follow the chart"
        };
        self.must(allowed, invariant, || format!("{name}: {from} became {}", now.state));
        let lease = self.leases.get(&execution);
        let (held, attempt) = (lease.is_some(), lease.map(|lease| lease.attempt));
        self.must(
            held == (now.state == ExecutionState::Running),
            "L3: what runs has a lease, and nothing else",
            || format!("{name} is {}, lease {held}", now.state),
        );
        let counted = attempt.is_none_or(|attempt| attempt == now.attempts);
        self.must(counted, "L2: a lease runs the attempt that the row counts", || name);
        if now.state.is_terminal() {
            self.resumes.remove(&execution);
        }
        let Some(job) = self.jobs.get_mut(&execution.job) else { return };
        let cell = &mut job.cells[execution.n as usize];
        (cell.state, cell.not_before, cell.attempts) = (now.state, now.not_before, now.attempts);
    }

    fn counts_equal_rows(&mut self, summary: &JobSummary, cells: &[CellView]) {
        let mut counts = StateCounts::default();
        for cell in cells {
            *counts.of_mut(cell.state) += 1;
        }
        let place = self.place(summary.id);
        self.must(counts == summary.counts, "counts equal rows", || {
            format!("job {place}: {:?} but the rows say {counts:?}", summary.counts)
        });
        let cost = self.jobs.get(&summary.id).map_or(0, |job| job.cost);
        self.must(cost == summary.cost_micros, "O3: the cost is the sum of what was recorded", || {
            format!("job {place}: {} but {cost} was recorded", summary.cost_micros)
        });
    }

    fn job_follows_rows(&mut self, summary: &JobSummary) {
        let Some(job) = self.jobs.get_mut(&summary.id) else { return };
        let (place, before) = (job.place, std::mem::replace(&mut job.state, summary.state));
        let open = job.cells.iter().any(|cell| !cell.state.is_terminal());
        let kept = !before.is_terminal() || before == summary.state;
        self.must(kept, "L4: a job ends once", || format!("job {place}: {before} became {}", summary.state));
        self.must(open != summary.state.is_terminal(), "L5: a job ends with its last execution", || {
            format!("job {place} is {}", summary.state)
        });
    }

    /// S2: question n + 1 opens when every execution of question n is terminal.
    fn batches_are_in_order(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.batching == Batching::Question) else { return };
        let open = |cell: &&Cell| !cell.state.is_terminal();
        let first_open = job.cells.iter().filter(open).map(|cell| cell.batch).min();
        let begun = |cell: &&Cell| matches!(cell.state, ExecutionState::Queued | ExecutionState::Running);
        let last_begun = job.cells.iter().filter(begun).map(|cell| cell.batch).max();
        let (place, ordered) = (job.place, last_begun.is_none() || last_begun == first_open);
        self.must(ordered, "S2: batches are in order", || {
            format!("job {place}: batch {last_begun:?} has begun, {first_open:?} is open")
        });
    }
}
