//! How much of something that all share one customer has, so that nobody has all of it (A7).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Who has how many, of those that there may be.
#[derive(Debug)]
pub struct Portions {
    of_one: u32,
    of_all: u32,
    counts: Mutex<HashMap<u64, u32>>,
}

/// One of them, until this is dropped.
#[derive(Debug)]
pub struct Portion {
    portions: Arc<Portions>,
    network: u64,
}

impl Portions {
    /// So many of one customer, and of all together.
    #[must_use]
    pub fn new(of_one: u32, of_all: u32) -> Arc<Self> {
        Arc::new(Self { of_one, of_all, counts: Mutex::default() })
    }

    /// One more for this customer, unless that would be more than its portion, or too many in all.
    #[must_use]
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Portion> {
        let network = network(address);
        let mut counts = self.lock();
        let count = counts.get(&network).copied().unwrap_or(0);
        let is_full = || self.of_all < u32::MAX && counts.values().sum::<u32>() >= self.of_all;
        if count >= self.of_one || is_full() {
            return None;
        }
        counts.insert(network, count + 1);
        Some(Portion { portions: Arc::clone(self), network })
    }

    /// Whether nobody has any.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        let mut counts = self.portions.lock();
        match counts.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.network)),
        }
    }
}

/// The network that one customer has: an IPv4 address, or 64 bits of an IPv6 address.
#[must_use]
pub fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(u32::from(v4)),
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
    }
}
