//! Simulated endpoints over real sockets. Time stands still except where a test moves it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod bad_days;
mod capacity;
mod cold_starts;
mod dialects;
mod latency;
mod result_urls;
mod same_as_client;
mod shutdown;
mod site;
mod stats;
