//! Wake-ups: hints that looking again may pay. They carry nothing; the reader re-reads, and polling stays as fallback.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::JobId;

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Something may be claimed, or leases may be lost.
    Queue,
    /// This job's progress.
    Job(JobId),
}

/// One subscription. Mark it seen before looking, so that a change in between still wakes.
#[derive(Debug)]
pub struct Wakeup(watch::Receiver<u64>);

impl Wakeup {
    /// Forgets what came so far.
    pub fn mark_unchanged(&mut self) {
        self.0.mark_unchanged();
    }

    /// Returns after the next hint; never, if there will be none.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A store's hints for this process.
#[derive(Debug)]
pub struct Wakeups {
    queue: watch::Sender<u64>,
    jobs: Mutex<HashMap<JobId, watch::Sender<u64>>>,
}

impl Wakeups {
    /// Nobody listens yet.
    #[must_use]
    pub fn new() -> Self {
        Self { queue: watch::channel(0).0, jobs: Mutex::default() }
    }

    /// Listens from now on.
    #[must_use]
    pub fn subscribe(&self, topic: Topic) -> Wakeup {
        match topic {
            Topic::Queue => Wakeup(self.queue.subscribe()),
            Topic::Job(job) => {
                let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                jobs.retain(|_, sender| sender.receiver_count() > 0);
                Wakeup(jobs.entry(job).or_insert_with(|| watch::channel(0).0).subscribe())
            }
        }
    }

    /// Wakes those who listen to this topic.
    pub fn wake(&self, topic: Topic) {
        match topic {
            Topic::Queue => self.queue.send_modify(|n| *n += 1),
            Topic::Job(job) => {
                let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(sender) = jobs.get(&job) {
                    sender.send_modify(|n| *n += 1);
                }
            }
        }
    }
}

impl Default for Wakeups {
    fn default() -> Self {
        Self::new()
    }
}
