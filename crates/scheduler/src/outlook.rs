//! When a worker looks into the queue again, and where.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use beacon_domain::{Claimed, Monotonic, WorkerId};

use crate::limits::{Look, Moment};

/// Polling is the fallback for wake-ups that never came.
const POLL: Duration = Duration::from_secs(1);
/// By how much the times of workers differ, so that they do not all poll together.
const SPREAD: Duration = Duration::from_millis(250);

/// What a worker knows about what waits.
pub(crate) struct Outlook {
    /// Whether nothing can have changed but on endpoints that were freed.
    known: bool,
    poll: Duration,
    poll_at: Monotonic,
    /// When the next back-off ends.
    ready_at: Option<Monotonic>,
}

impl Outlook {
    /// Nothing is known.
    pub(crate) fn new(worker: &WorkerId) -> Self {
        let mut hasher = DefaultHasher::new();
        worker.as_str().hash(&mut hasher);
        let poll = POLL + SPREAD * u32::try_from(hasher.finish() % 100).unwrap_or(0) / 100;
        Self { known: false, poll, poll_at: Monotonic::default(), ready_at: None }
    }

    /// Where the next claim looks.
    pub(crate) fn look(&self) -> Look {
        if self.known { Look::Freed } else { Look::Everywhere }
    }

    /// Something may have changed anywhere.
    pub(crate) fn missed(&mut self) {
        self.known = false;
    }

    /// With so many slots to fill, this is what a look gave; nothing where there was no room or no slot.
    pub(crate) fn looked(&mut self, now: Moment, slots: u32, claimed: &Claimed) {
        if !self.known {
            (self.poll_at, self.ready_at) = (now.monotonic + self.poll, None);
        }
        let ready = claimed.next_ready_at.map(|at| {
            let wait = at.duration_since(now.date);
            now.monotonic + Duration::try_from(wait).unwrap_or_default()
        });
        self.ready_at = self.ready_at.into_iter().chain(ready).min();
        // Whoever runs out of slots has not looked everywhere.
        self.known = claimed.leases.len() < slots as usize;
    }

    /// Until when to wait for news.
    pub(crate) fn until(&self, opens_at: Option<Monotonic>) -> Monotonic {
        [opens_at, self.ready_at].into_iter().flatten().fold(self.poll_at, Monotonic::min)
    }
}
