//! Where queues begin, as far as this process has seen: entries of executions that left the queue stay in its index until a
//! vacuum, and an old snapshot of anybody holds vacuum back.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Mutex,
};

use super::store::locked;

/// A job's queue on an endpoint.
pub(crate) type Queue = (i32, i64);

/// Queues whose beginning is remembered.
const REMEMBERED: usize = 4096;

/// Where the part of each queue begins that never left it. Executions leave that part in the order of the plan and never
/// come back to it (a lease that expired puts them behind 1970 by a microsecond), and a batch that opens comes later in
/// the plan; so what was once seen as its beginning stays a lower bound, whatever other processes do.
#[derive(Debug, Default)]
pub(crate) struct Lows {
    lows: Mutex<BTreeMap<Queue, i32>>,
    guesses: Mutex<Guesses>,
}

/// From here on a queue is long: looking at its first entries may cost as much as looking at many queues.
const LONG: i32 = 2000;

/// Where to look for jobs with something queued, by columns.
#[derive(Debug, Default)]
pub(crate) struct Regions {
    /// Endpoints, and the jobs between which to look.
    pub(crate) gaps: (Vec<i32>, Vec<i64>, Vec<i64>),
    /// Endpoints, jobs, and where their queues begin.
    pub(crate) long: (Vec<i32>, Vec<i64>, Vec<i32>),
}

/// What the last claim for these endpoints wanted; the next one mostly wants the same.
type Guesses = HashMap<Vec<i32>, BTreeMap<Queue, u32>>;

impl Lows {
    pub(crate) fn forget(&self) {
        locked(&self.lows).clear();
        locked(&self.guesses).clear();
    }

    pub(crate) fn guess(&self, places: &[i32]) -> BTreeMap<Queue, u32> {
        locked(&self.guesses).get(places).cloned().unwrap_or_default()
    }

    pub(crate) fn wanted(&self, places: &[i32], wanted: &BTreeMap<Queue, u32>) {
        let mut guesses = locked(&self.guesses);
        if guesses.len() >= REMEMBERED / 16 {
            guesses.clear();
        }
        guesses.insert(places.to_vec(), wanted.clone());
    }

    pub(crate) fn of<'a>(&self, queues: impl Iterator<Item = &'a Queue>) -> Vec<i32> {
        let lows = locked(&self.lows);
        queues.map(|queue| lows.get(queue).copied().unwrap_or(0)).collect()
    }

    /// The first of these rows is the beginning; the rows come in order.
    pub(crate) fn begins(&self, queue: Queue, n: i32, seen: &mut HashSet<Queue>) {
        if !seen.insert(queue) {
            return;
        }
        let mut lows = locked(&self.lows);
        if lows.len() >= REMEMBERED {
            lows.clear();
        }
        lows.insert(queue, n);
    }

    /// The long queues of these endpoints, and the ranges of jobs between them.
    pub(crate) fn regions(&self, places: &[i32]) -> Regions {
        let lows = locked(&self.lows);
        let mut regions = Regions::default();
        // A claim may name an endpoint twice; its queues are looked at once.
        for endpoint in &places.iter().copied().collect::<BTreeSet<i32>>() {
            let mut after = 0;
            for ((_, job), low) in lows.range((*endpoint, 0)..=(*endpoint, i64::MAX)) {
                if *low < LONG {
                    continue;
                }
                regions.gap(*endpoint, after, *job);
                regions.long.0.push(*endpoint);
                regions.long.1.push(*job);
                regions.long.2.push(*low);
                after = *job;
            }
            regions.gap(*endpoint, after, i64::MAX);
        }
        regions
    }
}

impl Regions {
    fn gap(&mut self, endpoint: i32, after: i64, before: i64) {
        self.gaps.0.push(endpoint);
        self.gaps.1.push(after);
        self.gaps.2.push(before);
    }
}
