//! How many bodies may be on their way in at once: each is held in memory until it is whole (A7).

use std::{sync::Arc, time::Duration};

use axum::{
    body::HttpBody as _,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use beacon_domain::Portions;

use crate::{
    api::App,
    extract::too_large,
    throttle::{address, too_many},
};

/// A body of which no more can come is small; a job of a thousand questions is a few times as large.
const SMALL: u64 = 64 * 1024;
/// Large bodies of one address at once.
const OF_ONE: u32 = 4;
/// Large bodies at once.
const OF_ALL: u32 = 32;
/// Small bodies of one address at once.
const SMALL_OF_ONE: u32 = 256;
/// Small bodies at once.
const SMALL_OF_ALL: u32 = 1024;

/// Bodies that are on their way in, by address.
pub(crate) struct Bodies {
    large: Arc<Portions>,
    small: Arc<Portions>,
}

impl Bodies {
    /// None yet.
    pub(crate) fn new() -> Self {
        let (large, small) = (Portions::new(OF_ONE, OF_ALL), Portions::new(SMALL_OF_ONE, SMALL_OF_ALL));
        Self { large, small }
    }
}

/// Refuses a body that is said to be too long before any of it is read, and others while there are too many.
pub(crate) async fn limit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let size = request.body().size_hint();
    if size.lower() > app.api.limits.max_body_bytes as u64 {
        return too_large(app.api.limits.max_body_bytes).into_response();
    }
    let (portions, what) = match size.upper() {
        Some(0) => return next.run(request).await,
        Some(upper) if upper <= SMALL => (&app.bodies.small, "too many requests with a body at once"),
        // Also one whose length is not said.
        _ => (&app.bodies.large, "too many large bodies at once"),
    };
    let address = address(&app.api.proxies, request.headers(), request.extensions());
    let refused = || too_many(what, Duration::ZERO).into_response();
    let Some(held) = portions.take(address) else { return refused() };
    tokio::select! {
        response = next.run(request) => response,
        // Whoever asks again with the same body gets what came of it, if anything did.
        () = held.lost() => refused(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A7
    #[test]
    fn one_address_holds_a_few_large_bodies_and_all_together_a_bounded_number() {
        let bodies = Bodies::new().large;
        let hold = |n: u32| bodies.take(std::net::Ipv4Addr::from(n).into());

        let of_one: Vec<_> = (0..OF_ONE).map(|_| hold(1).unwrap()).collect();
        assert!(hold(1).is_none());
        let others: Vec<_> = (OF_ONE..OF_ALL).map(|n| hold(n % 7 + 2).unwrap()).collect();
        assert!(hold(2).is_none(), "there are too many");
        drop(of_one);
        assert!(hold(1).is_some());
        drop(others);

        assert!(bodies.is_idle(), "nobody is remembered");
    }
}
