//! How many connections one address has: one client must not take the room of all others.

use std::{net::IpAddr, sync::Arc};

use beacon_domain::{Portion, Portions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    proxies: Vec<IpAddr>,
    portions: Option<Arc<Portions>>,
    /// For those that have no share.
    room: Arc<Semaphore>,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(crate) enum Seat {
    /// Of an address's share.
    Own(Portion),
    /// Of what all without a share have together.
    Common { _permit: OwnedSemaphorePermit },
}

impl Guests {
    /// With so many connections at once; and as many again for those that have no share, if others have one.
    pub(crate) fn new(shares: Shares, of_all: u32) -> Self {
        let Shares { connections, proxies } = shares;
        let portions = (connections > 0).then(|| Portions::new(connections, of_all));
        Self { proxies, portions, room: Arc::new(Semaphore::new(of_all as usize)) }
    }

    /// Counts one more connection, unless the address has its share, or all those without a share have theirs.
    pub(crate) fn seat(&self, address: IpAddr) -> Option<Seat> {
        match &self.portions {
            Some(portions) if !self.proxies.contains(&address.to_canonical()) => {
                portions.take(address).map(Seat::Own)
            }
            _ => {
                let permit = Arc::clone(&self.room).try_acquire_owned().ok()?;
                Some(Seat::Common { _permit: permit })
            }
        }
    }
}

impl Seat {
    /// Returns when the connection has to end, because an address with fewer needs its place.
    pub(crate) async fn lost(&self) {
        match self {
            Self::Own(portion) => portion.lost().await,
            Self::Common { .. } => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A7
    #[test]
    fn an_address_gets_its_share_and_no_more_and_others_are_not_counted_with_it() {
        let proxies = vec!["10.0.0.1".parse().unwrap()];
        let guests = Guests::new(Shares { connections: 2, proxies }, 5);
        let seat = |text: &str| guests.seat(text.parse().unwrap());

        let held = [seat("192.0.2.1").unwrap(), seat("::ffff:192.0.2.1").unwrap()];
        assert!(seat("192.0.2.1").is_none(), "its share is used up");
        assert!(seat("192.0.2.2").is_some(), "another address");
        let of_one_network = [seat("2001:db8::1").unwrap(), seat("2001:db8::2").unwrap()];
        assert!(seat("2001:db8::3").is_none());
        let through_the_proxy: Vec<_> = (0..5).map(|_| seat("10.0.0.1").unwrap()).collect();
        assert!(seat("10.0.0.1").is_none(), "there are five");
        assert!(seat("192.0.2.2").is_some(), "who comes without the proxy has room of its own");
        drop(held);

        assert!(seat("192.0.2.1").is_some(), "what is over is not counted");
        drop((of_one_network, through_the_proxy));
        assert!(guests.portions.unwrap().is_idle(), "nobody is remembered");
    }
}
