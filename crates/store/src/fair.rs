//! Fair shares of one endpoint: start-time fair queueing over keys (weighted), then over the jobs of a key (S4).
//! In memory and in SQLite it lives in memory only: after a restart everybody starts equal. PostgreSQL keeps it with the
//! endpoint, because there many processes share one endpoint.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use serde::{Deserialize, Serialize};

/// The most idle members remembered; whoever is forgotten starts at the current virtual time, as anyone new.
const REMEMBERED: usize = 1024;

/// The most idle keys whose jobs' shares are kept where they are written down.
const WRITTEN: usize = 64;

/// Who may get the next slot.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<J> {
    /// The signer's key.
    pub(crate) key: String,
    /// The key's weight, at least 1.
    pub(crate) weight: u32,
    /// The job.
    pub(crate) job: J,
}

/// The shares of one endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "J: Eq + Hash + Serialize", deserialize = "J: Eq + Hash + Deserialize<'de>"))]
pub(crate) struct Lane<J> {
    keys: Shares<String>,
    jobs: HashMap<String, Shares<J>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "K: Eq + Hash + Serialize", deserialize = "K: Eq + Hash + Deserialize<'de>"))]
struct Shares<K> {
    now: f64,
    next: HashMap<K, f64>,
}

impl<J> Default for Lane<J> {
    fn default() -> Self {
        Self { keys: Shares::default(), jobs: HashMap::new() }
    }
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self { now: 0.0, next: HashMap::new() }
    }
}

impl<J: Copy + Eq + Hash + Ord> Lane<J> {
    /// Gives up to `room` slots away, one by one. `next` takes a job's next ready execution; `None` ends its turn.
    pub(crate) fn share_out<R, E>(
        &mut self,
        mut candidates: Vec<Candidate<J>>,
        room: u32,
        mut next: impl FnMut(J) -> Result<Option<R>, E>,
    ) -> Result<Vec<R>, E> {
        let mut given = Vec::new();
        while (given.len() as u32) < room {
            let Some(at) = self.first(&candidates) else { break };
            match next(candidates[at].job)? {
                Some(row) => {
                    self.charge(&candidates[at]);
                    given.push(row);
                }
                None => {
                    candidates.swap_remove(at);
                }
            }
        }
        self.forget();
        Ok(given)
    }

    /// Forgets everybody who would start at the current virtual time anyway: who gets the next slots stays the same.
    /// Keys without a candidate are kept up to a bound.
    pub(crate) fn shorten(&mut self, candidates: &[Candidate<J>]) {
        self.keys.forget_idle();
        self.jobs.values_mut().for_each(Shares::forget_idle);
        if self.jobs.len() > WRITTEN {
            let present: HashSet<&str> = candidates.iter().map(|candidate| candidate.key.as_str()).collect();
            let ahead = &self.keys.next;
            self.jobs.retain(|key, _| present.contains(key.as_str()) || ahead.contains_key(key));
        }
    }

    fn first(&self, candidates: &[Candidate<J>]) -> Option<usize> {
        let mut best: Option<(f64, f64, J, usize)> = None;
        for (at, candidate) in candidates.iter().enumerate() {
            let key = self.keys.start(&candidate.key);
            let job = self.jobs.get(&candidate.key).map_or(0.0, |jobs| jobs.start(&candidate.job));
            let better = best.is_none_or(|(best_key, best_job, best_id, _)| {
                key.total_cmp(&best_key)
                    .then_with(|| job.total_cmp(&best_job))
                    .then_with(|| candidate.job.cmp(&best_id))
                    .is_lt()
            });
            if better {
                best = Some((key, job, candidate.job, at));
            }
        }
        best.map(|(.., at)| at)
    }

    fn charge(&mut self, candidate: &Candidate<J>) {
        self.keys.charge(candidate.key.clone(), 1.0 / f64::from(candidate.weight.max(1)));
        self.jobs.entry(candidate.key.clone()).or_default().charge(candidate.job, 1.0);
    }

    fn forget(&mut self) {
        self.keys.forget();
        self.jobs.values_mut().for_each(Shares::forget);
        if self.jobs.len() > REMEMBERED {
            let keys = &self.keys.next;
            self.jobs.retain(|key, _| keys.contains_key(key));
        }
    }
}

impl<K: Eq + Hash> Shares<K> {
    fn start(&self, member: &K) -> f64 {
        self.next.get(member).map_or(self.now, |next| next.max(self.now))
    }

    fn charge(&mut self, member: K, cost: f64) {
        let start = self.start(&member);
        self.now = start;
        self.next.insert(member, start + cost);
    }

    fn forget(&mut self) {
        if self.next.len() > REMEMBERED {
            self.forget_idle();
        }
    }

    fn forget_idle(&mut self) {
        let now = self.now;
        self.next.retain(|_, next| *next > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(lane: &mut Lane<u32>, members: &[(&str, u32, u32)], room: u32) -> HashMap<u32, u32> {
        let candidates = members
            .iter()
            .map(|&(key, weight, job)| Candidate { key: key.to_owned(), weight, job })
            .collect();
        let mut counts = HashMap::new();
        for job in lane.share_out(candidates, room, |job| Ok::<_, ()>(Some(job))).unwrap() {
            *counts.entry(job).or_default() += 1;
        }
        counts
    }

    #[test]
    fn keys_share_by_weight_and_their_jobs_share_the_key() {
        let mut lane = Lane::default();

        let counts = shares(&mut lane, &[("a", 1, 1), ("a", 1, 2), ("b", 2, 3)], 60);

        assert_eq!(counts, HashMap::from([(1, 10), (2, 10), (3, 40)]));
    }

    #[test]
    fn one_slot_at_a_time_is_as_fair_as_many() {
        let mut lane = Lane::default();
        let mut sum = HashMap::new();

        for _ in 0..30 {
            for (job, n) in shares(&mut lane, &[("a", 1, 1), ("b", 1, 2), ("c", 1, 3)], 1) {
                *sum.entry(job).or_insert(0) += n;
            }
        }

        assert_eq!(sum, HashMap::from([(1, 10), (2, 10), (3, 10)]));
    }

    #[test]
    fn a_late_comer_does_not_get_the_past_back() {
        let mut lane = Lane::default();
        shares(&mut lane, &[("a", 1, 1)], 1000);

        let counts = shares(&mut lane, &[("a", 1, 1), ("b", 1, 2)], 10);

        assert!(counts[&1] >= 4, "{counts:?}");
    }
}
