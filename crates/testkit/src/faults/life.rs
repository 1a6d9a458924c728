//! The life of one process: it may die or stand still at any await, and then nothing of it goes on.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Fault, Faults};

/// One process. Everything that it asks of the world passes a point of its life.
#[derive(Debug)]
pub struct Life {
    faults: Faults,
    dead: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    frozen_until: Option<Instant>,
    troubled_until: Option<Instant>,
}

impl Life {
    /// A process that has just started.
    #[must_use]
    pub fn new(faults: Faults) -> Self {
        Self { faults, dead: CancellationToken::new(), state: Mutex::default() }
    }

    /// Its faults.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// A point where it may die, stand still or be late; returns when it goes on, never if it is dead.
    pub async fn point(&self) {
        self.alive().await;
        let odds = self.faults.odds;
        if self.faults.strikes(Fault::CrashAtAwait, odds.crash) {
            self.die();
        } else if self.faults.strikes(Fault::Pause, odds.pause) {
            self.freeze(self.faults.dice.up_to(odds.longest_pause));
        } else if self.faults.strikes(Fault::Delay, odds.delay) {
            let delay = self.faults.dice.up_to(odds.longest_delay);
            self.trouble(Instant::now() + delay);
            sleep(delay).await;
        }
        self.alive().await;
    }

    /// Returns when it is not standing still; never if it is dead.
    pub async fn alive(&self) {
        loop {
            if self.dead.is_cancelled() {
                std::future::pending::<()>().await;
            }
            let frozen = self.state().frozen_until.filter(|until| *until > Instant::now());
            let Some(until) = frozen else { return };
            sleep_until(until).await;
        }
    }

    /// It is dead from here on. Whoever drives it drops it.
    pub fn die(&self) {
        self.dead.cancel();
    }

    /// Whether it is dead.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.is_cancelled()
    }

    /// Returns when it is dead.
    pub async fn died(&self) {
        self.dead.cancelled().await;
    }

    /// It stands still for so long.
    pub fn freeze(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.state();
        state.frozen_until = state.frozen_until.max(Some(until));
        drop(state);
        self.trouble(until);
    }

    /// Whether it stands still.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.state().frozen_until.is_some_and(|until| until > Instant::now())
    }

    /// A fault keeps it from its work until then.
    pub fn trouble(&self, until: Instant) {
        let mut state = self.state();
        state.troubled_until = state.troubled_until.max(Some(until));
    }

    /// Whether a fault kept it from its work at any time after `then`.
    #[must_use]
    pub fn was_troubled_since(&self, then: Instant) -> bool {
        self.is_dead() || self.state().troubled_until.is_some_and(|until| until > then)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
