//! Seeded simulation: many workers over one store and simulated endpoints, on virtual time, with faults at every await.
//! A seed decides everything, so a failure is replayed by its seed:
//!
//! `BEACON_SIM_SEED=17 cargo test -p beacon-scheduler --test sim one_seed -- --nocapture`
//!
//! `BEACON_SIM_SEEDS=20000` runs more seeds than usual. What must hold, and what the limits mean for a worker that is held
//! up, is said in `ledger` and `ledger/calls.rs`.
//!
//! A run repeats because it has one thread, paused time, one stream of random numbers, and because the scheduler and the
//! store in memory draw no lots: their `select!`s are biased, back-offs come from the lease, and wake-ups keep their
//! order. A worker's process is everything behind its ports: when it stands still or dies, nothing passes a port any more.

mod actors;
mod backend;
mod endpoint;
mod history;
mod ledger;
mod run;
mod scenario;
mod seeds;
mod site;
mod twins;
mod watched;
