//! How many connections one address has: one client must not take the room of all others.

use std::{net::IpAddr, sync::Arc};

use beacon_domain::{Portion, Portions};

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
}

/// A connection that is counted until this is dropped, if it is counted.
#[derive(Debug)]
pub(crate) struct Seat {
    _portion: Option<Portion>,
}

impl Guests {
    pub(crate) fn new(shares: Shares) -> Self {
        let Shares { connections, proxies } = shares;
        Self { proxies, portions: (connections > 0).then(|| Portions::new(connections, u32::MAX)) }
    }

    /// Counts one more connection, unless the address has its share.
    pub(crate) fn seat(&self, address: IpAddr) -> Option<Seat> {
        match &self.portions {
            Some(portions) if !self.proxies.contains(&address.to_canonical()) => {
                portions.take(address).map(|portion| Seat { _portion: Some(portion) })
            }
            _ => Some(Seat { _portion: None }),
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
        assert!(guests.portions.unwrap().is_idle(), "nobody is remembered");
    }
}
