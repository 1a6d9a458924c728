//! Chance that repeats: one stream of numbers for a whole run.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// A seeded stream. Clones draw from the same one, so the order of draws is part of the run.
#[derive(Debug, Clone)]
pub struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    /// The stream of this seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `true` with this chance, from 0 to 1. A chance of 0 draws nothing.
    #[must_use]
    pub fn chance(&self, chance: f64) -> bool {
        chance > 0.0 && self.unit() < chance
    }

    /// From 0 to below 1.
    #[must_use]
    pub fn unit(&self) -> f64 {
        self.stream().random_range(0.0..1.0)
    }

    /// A number of the range.
    #[must_use]
    pub fn within(&self, range: RangeInclusive<u32>) -> u32 {
        self.stream().random_range(range)
    }

    /// From 1 ms to `longest`, in whole milliseconds; short ones are more frequent.
    #[must_use]
    pub fn up_to(&self, longest: Duration) -> Duration {
        let unit = self.unit();
        Duration::from_millis(1) + Duration::from_millis((longest.as_millis() as f64 * unit * unit) as u64)
    }

    /// One of them.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.stream().random_range(0..of.len())]
    }

    fn stream(&self) -> MutexGuard<'_, StdRng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
