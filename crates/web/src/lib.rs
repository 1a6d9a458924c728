//! The HTTP API: signed jobs in, states, records and events out. Knows the store and time as ports; calls no endpoint.
//!
//! One file per noun: `routes` holds what is asked, `shapes` what is answered, `events` the streams, `export` the files.
//! The OpenAPI document is made of the same types and served at `/openapi.json`.

mod accept;
mod access;
mod api;
mod bodies;
mod error;
mod etag;
mod events;
mod export;
mod extract;
mod idempotency;
mod key_rate;
mod limits;
mod metrics;
mod openapi;
mod page;
mod refusals;
mod request_id;
mod router;
mod routes;
mod security;
mod shapes;
mod throttle;
mod token;
mod webhooks;

pub use api::{Api, ApiLimits};
pub use idempotency::forget_old_answers;
pub use openapi::document;
pub use router::router;
pub use throttle::Rates;
pub use token::OperatorToken;
