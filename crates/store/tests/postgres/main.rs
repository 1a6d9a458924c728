//! What only many processes on one PostgreSQL can do wrong: limits, leases, faults, migrations, refusals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

#[path = "../database/mod.rs"]
mod database;
mod faults;
mod hints;
mod limits;
mod migrations;
mod races;
mod refusals;
mod retention;
mod runbook;
mod sessions;
mod sound;
mod steering;
mod tls;
mod twins;
mod workers;
