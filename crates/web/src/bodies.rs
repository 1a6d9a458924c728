//! How many large bodies may be on their way in at once: each is held in memory until it is whole (A7).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::HttpBody as _,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    api::App,
    extract::too_large,
    throttle::{address, network, too_many},
};

/// A body of which no more can come is small; a job of a thousand questions is a few times as large.
const SMALL: u64 = 64 * 1024;
/// Large bodies of one address at once.
const OF_ONE: u32 = 4;
/// Large bodies at once.
const OF_ALL: u32 = 32;

/// Large bodies that are on their way in, by address.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    counts: Mutex<HashMap<u64, u32>>,
}

/// One of them, until this is dropped.
struct Held<'a>(&'a Bodies, u64);

impl Bodies {
    fn hold(&self, network: u64) -> Option<Held<'_>> {
        let mut counts = self.lock();
        let all: u32 = counts.values().sum();
        let count = counts.get(&network).copied().unwrap_or(0);
        if count >= OF_ONE || all >= OF_ALL {
            return None;
        }
        counts.insert(network, count + 1);
        Some(Held(self, network))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut counts = self.0.lock();
        match counts.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.1)),
        }
    }
}

/// Refuses a body that is said to be too long before any of it is read, and large ones while there are too many.
pub(crate) async fn limit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let size = request.body().size_hint();
    if size.lower() > app.api.limits.max_body_bytes as u64 {
        return too_large(app.api.limits.max_body_bytes).into_response();
    }
    if size.upper().is_some_and(|upper| upper <= SMALL) {
        return next.run(request).await;
    }
    let network = network(address(&app.api.proxies, request.headers(), request.extensions()));
    let Some(_held) = app.bodies.hold(network) else {
        return too_many("too many large bodies at once", Duration::ZERO).into_response();
    };
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    // A7
    #[test]
    fn one_address_holds_a_few_large_bodies_and_all_together_a_bounded_number() {
        let bodies = Bodies::default();

        let of_one: Vec<_> = (0..OF_ONE).map(|_| bodies.hold(1).unwrap()).collect();
        assert!(bodies.hold(1).is_none());
        let others: Vec<_> = (OF_ONE..OF_ALL).map(|n| bodies.hold(u64::from(n)).unwrap()).collect();
        assert!(bodies.hold(0).is_none(), "there are too many");
        drop(of_one);
        assert!(bodies.hold(1).is_some());
        drop(others);

        assert!(bodies.lock().is_empty(), "nobody is remembered");
    }
}
