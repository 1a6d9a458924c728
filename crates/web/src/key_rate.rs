//! How often something new is done for a key (A7).
//!
//! What a key signed can be copied by whoever saw it, so requests are not what is counted: a key is charged when something
//! new was done for it, and whoever sends it again uses up nothing. Every key has a count of its own. Only keys whose
//! signature held get here, so there are never more of them than are trusted, and those that did nothing lately are forgotten.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Above so many keys, those that have their whole share again are forgotten.
const MANY: usize = 1024;

/// The keys for which something was done lately.
pub(crate) struct KeyRate {
    /// Between two deeds in the long run.
    pause: Duration,
    /// How far ahead of that a key may be: what it may have done at once.
    ahead: Duration,
    /// When each key would have been served if its deeds had come one by one (the "theoretical arrival time" of ATM's generic
    /// cell rate algorithm, ITU-T I.371).
    served: Mutex<HashMap<[u8; 32], Duration>>,
}

impl KeyRate {
    /// So many deeds a second, and `burst` seconds' worth at once; 0 is as many as one likes.
    pub(crate) fn new(per_s: u32, burst: u32) -> Option<Self> {
        let pause = Duration::from_secs(1).checked_div(per_s)?;
        let ahead = pause.saturating_mul(per_s.saturating_mul(burst).saturating_sub(1));
        Some(Self { pause, ahead, served: Mutex::default() })
    }

    /// How long this key has to wait until something more is done for it; `None` if it need not. Asking costs nothing.
    pub(crate) fn wait(&self, key: &[u8; 32], now: Duration) -> Option<Duration> {
        let served = self.served().get(key).copied()?;
        served.checked_sub(now + self.ahead).filter(|wait| !wait.is_zero())
    }

    /// Something was done for this key. Deeds that were begun at once may go beyond its share; the next ones wait for it.
    pub(crate) fn charge(&self, key: &[u8; 32], now: Duration) {
        let mut served = self.served();
        if served.len() >= MANY {
            served.retain(|_, served| *served > now);
        }
        let next = served.entry(*key).or_insert(now);
        *next = (*next).max(now) + self.pause;
    }

    fn served(&self) -> MutexGuard<'_, HashMap<[u8; 32], Duration>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_key_may_do_much_at_once_and_then_as_much_as_its_rate() {
        let rate = KeyRate::new(2, 10).unwrap();
        let key = [1; 32];
        for n in 0..20 {
            assert_eq!(rate.wait(&key, at(5)), None, "{n}");
            rate.charge(&key, at(5));
        }

        assert_eq!(rate.wait(&key, at(5)), Some(Duration::from_millis(500)));
        assert_eq!(rate.wait(&[2; 32], at(5)), None, "another key");
        assert_eq!(rate.wait(&key, at(6)), None);
        (0..2).for_each(|_| rate.charge(&key, at(6)));
        assert_eq!(rate.wait(&key, at(6)), Some(Duration::from_millis(500)));
    }

    #[test]
    fn what_went_beyond_the_share_is_waited_for() {
        let rate = KeyRate::new(1, 10).unwrap();
        (0..15).for_each(|_| rate.charge(&[1; 32], at(0)));

        assert_eq!(rate.wait(&[1; 32], at(0)), Some(at(6)));
        assert_eq!(rate.wait(&[1; 32], at(6)), None);
    }

    #[test]
    fn keys_that_did_nothing_lately_take_no_memory() {
        let rate = KeyRate::new(1, 10).unwrap();
        for n in 0..100_000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            rate.charge(&key, at(u64::from(n) / 100));
        }

        assert!(rate.served().len() <= MANY, "{}", rate.served().len());
    }

    #[test]
    fn a_rate_of_nothing_bounds_nothing() {
        assert!(KeyRate::new(0, 10).is_none());
    }
}
