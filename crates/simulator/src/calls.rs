//! Remote calls that outlive their HTTP request: the table behind result URLs.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use beacon_domain::Monotonic;

use crate::work::Work;

/// How long a result URL works. Modal keeps results for 7 days (<https://modal.com/docs/guide/job-queue>).
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// The finished calls kept per endpoint; beyond it the oldest go.
const MOST_KEPT: usize = 10_000;

/// The calls that were told a result URL. They stay for a while, so a result can be read again.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_number: HashMap<u64, (Monotonic, Work)>,
    /// Numbers in order of publication, apart from running calls that were passed over.
    order: VecDeque<u64>,
}

impl Calls {
    /// Makes a call findable; the name is `fc-` and its number.
    pub(crate) fn publish(&self, work: &Work, now: Monotonic) -> String {
        let mut table = self.table();
        if table.by_number.insert(work.number, (now, work.clone())).is_none() {
            table.order.push_back(work.number);
        }
        table.make_room(now);
        format!("fc-{}", work.number)
    }

    /// The call of that name, if it was published and is kept.
    pub(crate) fn find(&self, id: &str, now: Monotonic) -> Option<Work> {
        let number = id.strip_prefix("fc-")?.parse().ok()?;
        let table = self.table();
        let (published, work) = table.by_number.get(&number)?;
        (!is_old(*published, now)).then(|| work.clone())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets what is too old or too much, but no call that still runs.
    fn make_room(&mut self, now: Monotonic) {
        while let Some(number) = self.order.front().copied() {
            let Some((published, work)) = self.by_number.get(&number) else { break };
            if self.order.len() <= MOST_KEPT && !is_old(*published, now) {
                break;
            }
            let running = !work.is_finished();
            self.order.rotate_left(1);
            if running {
                break;
            }
            self.order.pop_back();
            self.by_number.remove(&number);
        }
    }
}

fn is_old(published: Monotonic, now: Monotonic) -> bool {
    now.since(published) > KEPT_FOR
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Behaviour;

    const START: Monotonic = Monotonic(Duration::ZERO);

    #[test]
    fn a_result_is_kept_for_seven_days_after_its_last_303() {
        let calls = Calls::default();
        let (_end, work) = Work::new(7, Behaviour::Answer);

        let id = calls.publish(&work, START);

        assert!(calls.find(&id, Monotonic(KEPT_FOR)).is_some());
        assert!(calls.find(&id, Monotonic(KEPT_FOR + Duration::from_secs(1))).is_none());
        assert!(calls.find("fc-8", START).is_none() && calls.find("7", START).is_none());
    }

    #[test]
    fn many_calls_push_out_the_oldest_finished_ones_and_none_that_runs() {
        let calls = Calls::default();
        let (_end, running) = Work::new(0, Behaviour::Answer);
        let running = calls.publish(&running, START);

        for number in 1..=30_000 {
            let (end, work) = Work::new(number, Behaviour::Answer);
            end.send_replace(Some(std::sync::Arc::new(crate::work::tests::finished(number))));
            calls.publish(&work, START);
        }

        assert!(calls.table().by_number.len() <= MOST_KEPT + 1);
        assert!(calls.find(&running, START).is_some());
        assert!(calls.find("fc-30000", START).is_some() && calls.find("fc-1", START).is_none());
    }
}
