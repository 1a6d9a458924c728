//! Claims: who got what, within every limit, in order, under a token that grows.

use std::collections::BTreeMap;

use beacon_domain::{Claim, Claimed, ExecutionState, Lease, Room};
use tokio::time::Instant;

use super::{Ledger, Live};
use crate::history::Who;

impl Ledger {
    /// A claim, before the rows are looked at again.
    pub(crate) fn claimed(&mut self, who: Who, claim: &Claim, claimed: &Claimed) {
        self.step(who, "claim", None, claimed.leases.len() as u64);
        if claimed.leases.is_empty() {
            return;
        }
        let budget = claim.day_budget.map_or(u64::MAX, |budget| budget.cap_micros);
        let (spent, n) = (self.spent, claimed.leases.len());
        self.must(spent < budget, "O3: nothing is dispatched above the day's budget", || {
            format!("{n} leases, {spent} of {budget} millionths spent")
        });
        self.must(n <= claim.at_most as usize, "a claim gives at most what is asked", || {
            format!("{n} leases")
        });
        for lease in &claimed.leases {
            self.may_be_given(claim, lease);
        }
        self.are_in_order(&claimed.leases);
        for lease in &claimed.leases {
            self.step(who, "lease", Some(lease.key.execution), lease.key.token);
            self.give(who, lease);
        }
        self.limits_hold(claim);
    }

    fn may_be_given(&mut self, claim: &Claim, lease: &Lease) {
        let (key, execution) = (lease.key, lease.key.execution);
        let name = self.name(execution);
        let highest = self.tokens.get(&execution).copied().unwrap_or(0);
        self.must(key.token > highest, "L3: fencing tokens only grow", || {
            format!("{name}: token {} after {highest}", key.token)
        });
        let (Some(job), Some(cell)) = (self.jobs.get(&execution.job), self.cell(execution)) else {
            return self.must(false, "L1: nothing runs that was not accepted", || name);
        };
        let over = job.cost_cap.is_some_and(|cap| job.cost >= cap);
        let (ended, state, not_before) = (job.state.is_terminal(), cell.state, cell.not_before);
        let paused = job.paused;
        self.must(!ended, "S7: nothing is claimed of an ended job", || name.clone());
        self.must(!paused, "nothing is claimed of a paused job", || name.clone());
        self.must(!over, "O3: nothing is claimed above the job's cost cap", || name.clone());
        let queued = state == ExecutionState::Queued;
        self.must(queued, "only what is queued is claimed", || format!("{name} was {state}"));
        let due = not_before.is_none_or(|at| at <= claim.now);
        self.must(due, "S4: nothing is claimed before its back-off ends", || name.clone());
        let (durable, given) = (self.resumes.get(&execution).cloned(), lease.resume.clone());
        self.must(
            durable == given.map(|token| token.0),
            "C2: a lease carries the durable resume token",
            || name,
        );
    }

    /// An earlier question goes first: nothing fresh stays behind on the same endpoint. A call that runs there already waits
    /// for nothing.
    fn are_in_order(&mut self, leases: &[Lease]) {
        for lease in leases {
            let execution = lease.key.execution;
            let Some(job) = self.jobs.get(&execution.job) else { continue };
            let mine = &job.cells[execution.n as usize];
            if mine.not_before.is_some() || lease.resume.is_some() {
                continue;
            }
            let before = job.cells[..execution.n as usize].iter().enumerate();
            let skipped = before.map(|(n, cell)| (n as u32, cell)).find(|(n, cell)| {
                let waits = cell.state == ExecutionState::Queued && cell.not_before.is_none();
                let given = leases
                    .iter()
                    .any(|other| (other.key.execution.job, other.key.execution.n) == (execution.job, *n));
                waits && cell.endpoint == mine.endpoint && !given
            });
            let skipped = skipped.map(|(n, _)| n);
            let name = self.name(execution);
            self.must(skipped.is_none(), "S2: an earlier question goes first on its endpoint", || {
                format!("{name} before {skipped:?}")
            });
        }
    }

    fn give(&mut self, who: Who, lease: &Lease) {
        let execution = lease.key.execution;
        self.tokens.insert(execution, lease.key.token);
        let live = Live {
            who,
            token: lease.key.token,
            attempt: lease.attempt,
            endpoint: lease.endpoint.clone(),
            until: lease.expires_at,
            claimed_at: Instant::now(),
        };
        let name = self.name(execution);
        let before = self.leases.insert(execution, live);
        self.must(before.is_none(), "L3: one live lease per execution", || name);
    }

    /// S1: live leases are within the limit of each endpoint, each account and everything.
    fn limits_hold(&mut self, claim: &Claim) {
        let mut by_endpoint = BTreeMap::new();
        for lease in self.leases.values() {
            *by_endpoint.entry(lease.endpoint.clone()).or_insert(0_u32) += 1;
        }
        let running = |room: &Room| by_endpoint.get(&room.endpoint).copied().unwrap_or(0);
        for room in &claim.rooms {
            let (n, limit, id) = (running(room), room.limit, &room.endpoint);
            self.must(n <= limit, "S1: live leases are within the endpoint's limit", || {
                format!("{n} of {limit} on {id}")
            });
        }
        for account in &claim.accounts {
            let of = claim.rooms.iter().filter(|room| room.account.as_ref() == Some(&account.account));
            let (n, limit) = (of.map(running).sum::<u32>(), account.limit);
            self.must(n <= limit, "S1: live leases are within the account's limit", || {
                format!("{n} of {limit}")
            });
        }
        let (n, limit) = (self.leases.len() as u32, claim.global_limit.unwrap_or(u32::MAX));
        self.must(n <= limit, "S1: live leases are within the global limit", || format!("{n} of {limit}"));
    }
}
