//! Faults on purpose: processes that crash, pause and are late, clocks that disagree, stores that fail, repeat and lose
//! acknowledgements. A seed decides all of it, and every fault that happens is counted.

mod clock;
mod dice;
mod life;
mod outage;
mod store;
mod tally;

pub use clock::SkewedClock;
pub use dice::Dice;
pub use life::Life;
pub use outage::Outage;
pub use store::FaultyStore;
pub use tally::{Fault, Tally};

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How likely each fault is, and how long it lasts. Chances are from 0 to 1, for each point where one may strike.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Odds {
    /// The process dies.
    pub crash: f64,
    /// The process stands still, as after SIGSTOP, and goes on later.
    pub pause: f64,
    /// The longest pause.
    pub longest_pause: Duration,
    /// One call takes longer.
    pub delay: f64,
    /// The longest delay.
    pub longest_delay: Duration,
    /// The store gets a call twice, at once or a while later.
    pub duplicate: f64,
    /// The store did it, the caller gets an error.
    pub lost_acknowledgement: f64,
    /// The store fails for a while, for everybody or for one process.
    pub outage: f64,
    /// The longest outage.
    pub longest_outage: Duration,
}

/// What all faults of one run share: the dice, the odds, the counts, and whether they may still strike.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Decides.
    pub dice: Dice,
    /// How likely each fault is.
    pub odds: Odds,
    on: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
}

impl Faults {
    /// Faults that may strike from now on.
    #[must_use]
    pub fn new(dice: Dice, odds: Odds) -> Self {
        Self { dice, odds, on: Arc::new(AtomicBool::new(true)), tally: Arc::default() }
    }

    /// From here on nothing fails any more; what has begun ends by itself.
    pub fn stop(&self) {
        self.on.store(false, Ordering::Relaxed);
    }

    /// Whether faults may still strike.
    #[must_use]
    pub fn may_strike(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Whether a fault of this chance strikes now; if so it is counted.
    #[must_use]
    pub fn strikes(&self, fault: Fault, chance: f64) -> bool {
        let struck = self.may_strike() && self.dice.chance(chance);
        if struck {
            self.count(fault);
        }
        struck
    }

    /// Counts a fault that happened.
    pub fn count(&self, fault: Fault) {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).add(fault);
    }

    /// What has happened so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
