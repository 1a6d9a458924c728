//! Where jobs are kept: in memory, or in one SQLite file. Both hold the same contract, which is the shared suite
//! `beacon_testkit::conformance`. The only SQL of the project is here.

mod failures;
mod fair;
mod memory;
mod rules;
mod sqlite;

pub use memory::MemoryStore;
pub use sqlite::{OpenMode, SqliteStore};
