//! How many connections one address has: one client must not take the room of all others.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What one address may have.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    /// Connections at once of one address (of IPv6, one /64); 0 for no limit.
    pub connections: u32,
    /// Proxies, which bring the clients of many addresses and have no share.
    pub proxies: Vec<IpAddr>,
}

/// Who has how many.
#[derive(Debug)]
pub(crate) struct Guests {
    shares: Shares,
    counts: Mutex<HashMap<u64, u32>>,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    guests: Arc<Guests>,
    network: Option<u64>,
}

impl Guests {
    pub(crate) fn new(shares: Shares) -> Arc<Self> {
        Arc::new(Self { shares, counts: Mutex::default() })
    }

    /// Counts one more connection, unless the address has its share.
    pub(crate) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let address = address.to_canonical();
        if self.shares.connections == 0 || self.shares.proxies.contains(&address) {
            return Some(Seat { guests: Arc::clone(self), network: None });
        }
        let network = network(address);
        let mut counts = self.lock();
        let count = counts.entry(network).or_default();
        if *count >= self.shares.connections {
            return None;
        }
        *count += 1;
        Some(Seat { guests: Arc::clone(self), network: Some(network) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut counts = self.guests.lock();
        if let Some(count) = counts.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&network);
            }
        }
    }
}

/// The network that one customer has: an IPv4 address, or 64 bits of an IPv6 address.
fn network(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => u64::from(u32::from(v4)),
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A7
    #[test]
    fn an_address_gets_its_share_and_no_more_and_others_are_not_counted_with_it() {
        let proxies = vec!["10.0.0.1".parse().unwrap()];
        let guests = Guests::new(Shares { connections: 2, proxies });
        let seat = |text: &str| guests.seat(text.parse().unwrap());

        let held = [seat("192.0.2.1").unwrap(), seat("::ffff:192.0.2.1").unwrap()];
        assert!(seat("192.0.2.1").is_none(), "its share is used up");
        assert!(seat("192.0.2.2").is_some(), "another address");
        let of_one_network = [seat("2001:db8::1").unwrap(), seat("2001:db8::2").unwrap()];
        assert!(seat("2001:db8::3").is_none());
        let through_the_proxy: Vec<_> = (0..5).map(|_| seat("10.0.0.1").unwrap()).collect();
        drop(held);

        assert!(seat("192.0.2.1").is_some(), "what is over is not counted");
        drop((of_one_network, through_the_proxy));
        assert!(guests.lock().is_empty(), "nobody is remembered");
    }
}
