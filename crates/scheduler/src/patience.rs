//! How long a store may fail before this process gives up on it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use beacon_domain::{Clock, Monotonic, StoreError};

use crate::Stop;

/// Watches whether the store works.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Option<Duration>,
    stop: Stop,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By [`Doing`]: one may fail while the other works, as on a full disk.
    failing_since: [Option<Monotonic>; 3],
    given_up: Option<StoreError>,
}

/// What the store is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Doing {
    Claim,
    Record,
    Look,
}

impl Patience {
    /// Gives up after `limit`, or never.
    pub(crate) fn new(limit: Option<Duration>, stop: Stop) -> Self {
        Self { limit, stop, state: Mutex::default() }
    }

    /// The store did it.
    pub(crate) fn worked(&self, doing: Doing) {
        self.lock().failing_since[doing as usize] = None;
    }

    /// The store failed. `true` when it is to be tried no more: for too long, or after a second request to stop.
    pub(crate) fn is_over(&self, doing: Doing, error: StoreError, now: Monotonic) -> bool {
        let mut state = self.lock();
        let since = *state.failing_since[doing as usize].get_or_insert(now);
        if state.given_up.is_some() {
            return true;
        }
        if self.limit.is_none_or(|limit| now.since(since) < limit) && !self.stop.is_aborting() {
            return false;
        }
        state.given_up = Some(error);
        self.stop.abort();
        true
    }

    /// Waits before the store is tried again; no longer than a second request to stop.
    pub(crate) async fn pause(&self, clock: &dyn Clock, pause: Duration) {
        if self.stop.is_aborting() {
            return clock.sleep_until(clock.monotonic() + pause).await;
        }
        tokio::select! {
            biased;
            () = self.stop.aborting() => {}
            () = clock.sleep_until(clock.monotonic() + pause) => {}
        }
    }

    /// Why it was given up, if it was.
    pub(crate) fn given_up(&self) -> Option<StoreError> {
        self.lock().given_up.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
