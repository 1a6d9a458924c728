//! How often one may ask: by address, by signing key, and by tokens that nobody knows yet (A7).
//!
//! An address's bucket is one of a fixed number, chosen by a hash that is keyed anew in each process: memory is bounded without
//! forgetting anybody, and nobody can aim at the bucket of another. Keys are few, and each has a count of its own.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use beacon_domain::{Clock, network};
use governor::{Quota, RateLimiter, clock, middleware::NoOpMiddleware, state::keyed::DashMapStateStore};
use http::{Extensions, HeaderMap, StatusCode, header};

use crate::{api::App, error::ApiError, key_rate::KeyRate};

/// How often one may ask; 0 is as often as one likes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// Requests a second of one address, and ten times as many at once.
    pub address_per_s: u32,
    /// New jobs and signed requests a second of one key, and ten times as many at once. What was sent before does not count.
    pub key_per_s: u32,
    /// Tokens a minute from one address that have to be looked up, because they are wrong or were not seen lately.
    pub lookups_per_minute: u32,
}

/// Buckets of each kind.
const BUCKETS: u64 = 1 << 16;
/// How many seconds' worth may come at once.
const BURST: u32 = 10;
const FORWARDED: &str = "x-forwarded-for";
/// What orchestrators ask every few seconds is never refused.
const PROBES: [&str; 4] = ["/health", "/ready", "/api/v1/health/live", "/api/v1/health/ready"];

type Buckets = RateLimiter<u64, DashMapStateStore<u64>, Ticks, NoOpMiddleware<Duration>>;

/// Who has asked how often.
pub(crate) struct Throttle {
    hasher: RandomState,
    clock: Arc<dyn Clock>,
    addresses: Option<Buckets>,
    keys: Option<KeyRate>,
    lookups: Option<Buckets>,
}

/// The injected clock, as the limiter reads it.
#[derive(Clone)]
struct Ticks(Arc<dyn Clock>);

impl clock::Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic().0
    }
}

impl Throttle {
    pub(crate) fn new(rates: Rates, clock: &Arc<dyn Clock>) -> Self {
        let buckets = |quota: Option<Quota>| {
            quota.map(|quota| RateLimiter::dashmap_with_clock(quota, Ticks(Arc::clone(clock))))
        };
        let per_second = |rate: u32| {
            let burst = NonZeroU32::new(rate.saturating_mul(BURST))?;
            Some(Quota::per_second(NonZeroU32::new(rate)?).allow_burst(burst))
        };
        Self {
            hasher: RandomState::new(),
            clock: Arc::clone(clock),
            addresses: buckets(per_second(rates.address_per_s)),
            keys: KeyRate::new(rates.key_per_s, BURST),
            lookups: buckets(NonZeroU32::new(rates.lookups_per_minute).map(Quota::per_minute)),
        }
    }

    /// Counts a request of this address.
    pub(crate) fn address(&self, address: IpAddr) -> Result<(), ApiError> {
        self.count(self.addresses.as_ref(), network(address), "too many requests from this address")
    }

    /// Refuses what is new of this key while it has had its share; only after its signature held. It is not counted yet.
    pub(crate) fn key_may(&self, public_key: &[u8; 32]) -> Result<(), ApiError> {
        let wait = self.keys.as_ref().and_then(|keys| keys.wait(public_key, self.clock.monotonic().0));
        wait.map_or(Ok(()), |wait| Err(too_many("too many new jobs and requests signed by this key", wait)))
    }

    /// Counts what was done for this key. Whoever sends a copy of what it signed has nothing done, so that nobody uses up the
    /// share of another.
    pub(crate) fn key_did(&self, public_key: &[u8; 32]) {
        if let Some(keys) = &self.keys {
            keys.charge(public_key, self.clock.monotonic().0);
        }
    }

    /// Counts a token that has to be looked up.
    pub(crate) fn lookup(&self, address: IpAddr) -> Result<(), ApiError> {
        self.count(self.lookups.as_ref(), network(address), "too many unknown tokens from this address")
    }

    fn count(&self, buckets: Option<&Buckets>, who: impl Hash, what: &str) -> Result<(), ApiError> {
        let Some(buckets) = buckets else { return Ok(()) };
        let bucket = self.hasher.hash_one(who) % BUCKETS;
        let Err(early) = buckets.check_key(&bucket) else { return Ok(()) };
        Err(too_many(what, early.wait_time_from(self.clock.monotonic().0)))
    }
}

pub(crate) fn too_many(what: &str, wait: Duration) -> ApiError {
    let wait = wait.as_secs() + 1;
    let message = format!("{what}; try again in {wait} s");
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
        .with(header::RETRY_AFTER, &wait.to_string())
}

/// The address that asks: the connection's, or behind a known proxy the last one that the proxies did not add.
pub(crate) fn address(proxies: &[IpAddr], headers: &HeaderMap, extensions: &Extensions) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    let mut address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip()).to_canonical();
    let lines: Vec<_> = headers.get_all(FORWARDED).iter().filter_map(|line| line.to_str().ok()).collect();
    let mut hops = lines.iter().flat_map(|line| line.split(',')).rev();
    while proxies.contains(&address) {
        match hops.next().and_then(|hop| hop_address(hop.trim())) {
            Some(hop) => address = hop.to_canonical(),
            None => break,
        }
    }
    address
}

/// A hop's address; some proxies write the port behind it.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse::<SocketAddr>().map(|address| address.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    hop.parse().or_else(|_| with_port()).ok().or_else(bracketed)
}

/// Whether a path is never refused, however often it is asked.
pub(crate) fn is_probe(path: &str) -> bool {
    PROBES.contains(&path)
}

/// Refuses an address that asks too often.
pub(crate) async fn limit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if is_probe(request.uri().path()) {
        return next.run(request).await;
    }
    let address = address(&app.api.proxies, request.headers(), request.extensions());
    match app.throttle.address(address) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &str) -> String {
        let proxies = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, forwarded.parse().unwrap());
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        address(&proxies, &headers, &extensions).to_string()
    }

    #[test]
    fn only_known_proxies_say_for_whom_they_ask() {
        assert_eq!(seen("192.0.2.9", "198.51.100.1"), "192.0.2.9", "no proxy");
        assert_eq!(seen("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(
            seen("10.0.0.1", "203.0.113.7, 198.51.100.1, 10.0.0.2"),
            "198.51.100.1",
            "the rest is the client's word"
        );
        assert_eq!(seen("::ffff:10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", "nonsense"), "10.0.0.1");
    }

    #[test]
    fn an_ipv6_customer_is_one_network() {
        let of = |text: &str| network(text.parse().unwrap());

        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
