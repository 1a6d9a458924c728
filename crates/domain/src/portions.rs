//! How much of something that all share one customer has, so that nobody has all of it (A7).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Who has how many, of those that there may be.
///
/// When all are taken, a customer who has fewer gets one of whoever has most. So whoever has none gets one as long as there are
/// fewer customers than there may be of them, however greedy these are.
#[derive(Debug)]
pub struct Portions {
    of_one: usize,
    of_all: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The newest last.
    by_network: HashMap<u64, Vec<Arc<Notify>>>,
    all: usize,
}

/// One of them, until this is dropped.
#[derive(Debug)]
pub struct Portion {
    portions: Arc<Portions>,
    network: u64,
    lost: Arc<Notify>,
}

impl Portions {
    /// So many of one customer, and of all together.
    #[must_use]
    pub fn new(of_one: u32, of_all: u32) -> Arc<Self> {
        Arc::new(Self { of_one: of_one as usize, of_all: of_all as usize, taken: Mutex::default() })
    }

    /// One more for this customer, unless that would be more than its portion, or all are taken and nobody has two more.
    #[must_use]
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Portion> {
        let network = network(address);
        let mut taken = self.lock();
        let count = taken.by_network.get(&network).map_or(0, Vec::len);
        if count >= self.of_one || taken.all >= self.of_all && !taken.make_room(count) {
            return None;
        }
        let lost = Arc::new(Notify::new());
        taken.by_network.entry(network).or_default().push(Arc::clone(&lost));
        taken.all += 1;
        Some(Portion { portions: Arc::clone(self), network, lost })
    }

    /// Whether nobody has any.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.lock().by_network.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Portion {
    /// Returns when it was given to a customer who had fewer; for one waiter. Whoever holds it lets go of it then.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        self.portions.lock().remove(self.network, &self.lost);
    }
}

impl Taken {
    /// Takes the newest one of whoever has most, if that one keeps as many as a customer who has `count` gets by it.
    fn make_room(&mut self, count: usize) -> bool {
        let most = self.by_network.iter().max_by_key(|(_, held)| held.len());
        let newest = most
            .filter(|(_, held)| held.len() > count + 1)
            .and_then(|(network, held)| Some((*network, Arc::clone(held.last()?))));
        let Some((network, newest)) = newest else { return false };
        newest.notify_one();
        self.remove(network, &newest);
        true
    }

    /// Takes it from the count, if it is still there.
    fn remove(&mut self, network: u64, one: &Arc<Notify>) {
        let Some(held) = self.by_network.get_mut(&network) else { return };
        let before = held.len();
        held.retain(|other| !Arc::ptr_eq(other, one));
        self.all -= before - held.len();
        if held.is_empty() {
            self.by_network.remove(&network);
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

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn of(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(n).into()
    }

    // A7
    #[test]
    fn however_many_take_all_that_they_can_get_whoever_has_none_gets_one_of_the_greediest() {
        for greedy in [15, 16, 17, 300, 4095] {
            let portions = Portions::new(256, 4096);
            let take_all = |n| std::iter::from_fn(|| portions.take(of(n))).collect::<Vec<_>>();
            let held: Vec<Portion> = (0..greedy).flat_map(take_all).collect();

            let newcomer = portions.take(of(greedy));

            assert!(newcomer.is_some(), "{greedy} others took {}", held.len());
            let lost = held.iter().filter(|portion| portion.lost().now_or_never().is_some()).count();
            assert_eq!(lost, (held.len() + 1).saturating_sub(4096), "{greedy} others");
            drop((held, newcomer));
            assert!(portions.is_idle(), "nobody is remembered");
        }
    }

    // A7
    #[test]
    fn nothing_is_taken_from_customers_who_have_as_few() {
        let portions = Portions::new(4, 4);
        let held: Vec<Portion> = [1, 1, 2, 2].into_iter().map(|n| portions.take(of(n)).unwrap()).collect();

        assert!(portions.take(of(2)).is_none(), "it has as many as the others");
        let newcomers = [3, 4].map(|n| portions.take(of(n)).unwrap());
        assert!(portions.take(of(5)).is_none(), "each has one");

        assert_eq!(held.iter().filter(|portion| portion.lost().now_or_never().is_some()).count(), 2);
        drop(newcomers);
    }
}
