//! What the handlers work with.

use std::{net::IpAddr, sync::Arc, time::Duration};

use beacon_domain::{
    Batching, Board, Clock, JobStore, JobView, Operations, Portions, Wakeups, WebhookPolicy,
};
use beacon_scheduler::{EndpointCatalog, Stop};
use beacon_spec::{Freshness, KeySource};
use bytes::Bytes;
use http::HeaderValue;

use crate::{
    OperatorToken, Rates, access::TokenCache, bodies::Bodies, events::Watchers, metrics::Metrics,
    throttle::Throttle,
};

/// The parts of an API behind their ports.
pub struct Api {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Accepting and ending jobs.
    pub jobs: Arc<dyn JobStore>,
    /// Reading jobs.
    pub view: Arc<dyn JobView>,
    /// Reading in pages, and endpoints.
    pub board: Arc<dyn Board>,
    /// Steering, and who may do what.
    pub operations: Arc<dyn Operations>,
    /// Hints that a job has changed, for event streams.
    pub wakeups: Arc<Wakeups>,
    /// Whose jobs are taken.
    pub keys: Arc<dyn KeySource + Send + Sync>,
    /// What can be planned.
    pub catalog: EndpointCatalog,
    /// A token that may do everything, beside those of the store.
    pub operator: Option<OperatorToken>,
    /// Whether reads need a token.
    pub require_token_to_read: bool,
    /// How questions follow each other.
    pub batching: Batching,
    /// Bounds.
    pub limits: ApiLimits,
    /// How often one may ask.
    pub rates: Rates,
    /// Proxies whose `x-forwarded-for` is believed; none by default.
    pub proxies: Vec<IpAddr>,
    /// Pages of these origins may call from a browser; none by default.
    pub origins: Vec<HeaderValue>,
    /// Whether TLS is spoken here, and browsers are told to speak nothing else.
    pub secured: bool,
    /// What is allowed of webhooks; without it no job may have any.
    pub webhooks: Option<Arc<dyn WebhookPolicy>>,
    /// Once it drains, event streams end, so that a stop waits for none of them.
    pub stop: Stop,
}

/// Bounds of requests and jobs.
#[derive(Debug, Clone, Copy)]
pub struct ApiLimits {
    /// The longest body, in bytes.
    pub max_body_bytes: usize,
    /// How long a request may take until its answer begins.
    pub request: Duration,
    /// A job's time limit when its spec gives none.
    pub job: Duration,
    /// How old a signature may be.
    pub max_age: Duration,
    /// Event streams at once of one address; 0 for no limit.
    pub streams_per_address: u32,
}

/// How far ahead a signer's clock may be.
pub(crate) const MAX_SKEW: Duration = Duration::from_secs(300);

impl Api {
    pub(crate) const fn freshness(&self) -> Freshness {
        Freshness::Window { max_age: self.limits.max_age, max_skew: MAX_SKEW }
    }
}

/// The API with what it remembers while it serves.
pub(crate) struct App {
    pub(crate) api: Api,
    /// The jobs that somebody watches.
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) metrics: Metrics,
    pub(crate) throttle: Throttle,
    pub(crate) bodies: Bodies,
    /// Event streams by address, if they are bounded.
    pub(crate) streams: Option<Arc<Portions>>,
    /// Tokens that were seen a moment ago.
    pub(crate) tokens: TokenCache,
    /// The OpenAPI document, as it is served.
    pub(crate) document: Bytes,
}
