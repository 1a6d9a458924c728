//! How jobs run: over the memory store and endpoints made of functions, on tokio's paused time. Every duration here is
//! virtual and exact.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod batches;
mod bench;
mod budgets;
mod cancelling;
mod cold;
mod deadlines;
mod events;
mod fairness;
mod fleet;
mod late;
mod limits;
mod looking;
mod outages;
mod planning;
mod records;
mod retries;
mod stopping;
mod webhooks;
