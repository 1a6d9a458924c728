//! Wake-ups: hints that looking again may pay. They carry nothing; the reader re-reads, and polling stays as fallback.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use crate::JobId;

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Something may be claimed, or leases may be lost.
    Queue,
    /// This job's progress.
    Job(JobId),
}

/// One subscription. Mark it seen before looking, so that a change in between still wakes.
#[derive(Debug)]
pub struct Wakeup {
    signal: Arc<Signal>,
    seen: u64,
}

/// What subscribers wait on. They wake in the order in which they began to wait, so that virtual time repeats.
#[derive(Debug, Default)]
struct Signal {
    hints: AtomicU64,
    notify: Notify,
}

impl Signal {
    fn wake(&self) {
        self.hints.fetch_add(1, Ordering::Release);
        self.notify.notify_waiters();
    }

    fn hints(&self) -> u64 {
        self.hints.load(Ordering::Acquire)
    }

    fn subscribe(self: &Arc<Self>) -> Wakeup {
        Wakeup { signal: Arc::clone(self), seen: self.hints() }
    }
}

impl Wakeup {
    /// Forgets what came so far.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.signal.hints();
    }

    /// Returns after the next hint; never, if there will be none.
    pub async fn changed(&mut self) {
        loop {
            let mut notified = std::pin::pin!(self.signal.notify.notified());
            // Listen before looking: a hint in between must still wake.
            notified.as_mut().enable();
            let hints = self.signal.hints();
            if hints != self.seen {
                self.seen = hints;
                return;
            }
            notified.await;
        }
    }
}

/// A store's hints for this process.
#[derive(Debug, Default)]
pub struct Wakeups {
    queue: Arc<Signal>,
    jobs: Mutex<HashMap<JobId, Arc<Signal>>>,
}

impl Wakeups {
    /// Nobody listens yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens from now on.
    #[must_use]
    pub fn subscribe(&self, topic: Topic) -> Wakeup {
        match topic {
            Topic::Queue => self.queue.subscribe(),
            Topic::Job(job) => {
                let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                jobs.retain(|_, signal| Arc::strong_count(signal) > 1);
                jobs.entry(job).or_default().subscribe()
            }
        }
    }

    /// Wakes those who listen to this topic.
    pub fn wake(&self, topic: Topic) {
        match topic {
            Topic::Queue => self.queue.wake(),
            Topic::Job(job) => {
                let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(signal) = jobs.get(&job) {
                    signal.wake();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_hint_between_marking_and_waiting_still_wakes() {
        let wakeups = Wakeups::new();
        let mut wakeup = wakeups.subscribe(Topic::Queue);

        wakeup.mark_unchanged();
        wakeups.wake(Topic::Queue);

        assert!(tokio::time::timeout(Duration::from_secs(10), wakeup.changed()).await.is_ok());
        assert!(tokio::time::timeout(Duration::ZERO, wakeup.changed()).await.is_err(), "it was seen");
    }

    #[tokio::test]
    async fn who_listens_to_a_job_hears_of_no_other() {
        let (wakeups, job) = (Wakeups::new(), |n| Topic::Job(JobId::from_bytes([n; 16])));
        let mut wakeup = wakeups.subscribe(job(1));

        wakeups.wake(job(2));
        wakeups.wake(Topic::Queue);

        assert!(tokio::time::timeout(Duration::ZERO, wakeup.changed()).await.is_err());
    }

    #[tokio::test]
    async fn those_who_wait_wake_in_the_order_in_which_they_began() {
        let (wakeups, order) = (Wakeups::new(), Arc::new(Mutex::new(Vec::new())));
        let waiting: Vec<_> = (0..50)
            .map(|n| {
                let (mut wakeup, order) = (wakeups.subscribe(Topic::Queue), Arc::clone(&order));
                tokio::spawn(async move {
                    wakeup.changed().await;
                    order.lock().unwrap().push(n);
                })
            })
            .collect();
        tokio::task::yield_now().await;

        wakeups.wake(Topic::Queue);
        for one in waiting {
            one.await.unwrap();
        }

        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }
}
