//! Where jobs are kept: in memory, in one SQLite file, or in PostgreSQL for many processes. All hold the same contract,
//! which is the shared suite `beacon_testkit::conformance`. The only SQL of the project is here.

mod failures;
mod fair;
mod frozen;
mod idempotency;
mod lines;
mod memory;
pub mod migrate;
mod policy;
mod postgres;
mod rules;
mod sqlite;

pub use memory::MemoryStore;
pub use postgres::{PostgresOptions, PostgresStore, may_come_back, shown_url};
pub use sqlite::{OpenMode, SqliteStore};
