//! What this process lets through to each endpoint: breaker, cold probe, throttling and the adaptive limit. The store
//! keeps the hard limit over all processes; nothing here ever raises it.

mod adaptive;
mod breaker;
mod gates;

pub(crate) use adaptive::Adaptive;
pub(crate) use breaker::Breaker;
pub(crate) use gates::{Gates, Look, Moment};
