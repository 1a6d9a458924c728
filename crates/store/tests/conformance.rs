//! Every store passes the one suite.

use std::sync::Arc;

use beacon_spec::VerifiedSpec;
use beacon_store::{MemoryStore, OpenMode, SqliteStore};
use beacon_testkit::{conformance, verified_spec};

fn spec() -> VerifiedSpec {
    verified_spec("conformance", &["What is one?", "What is two?"], &["m"], &["us-east"])
}

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod memory {
            use super::*;
            $(#[tokio::test]
            async fn $case() {
                conformance::$case(Arc::new(MemoryStore::new()), spec()).await;
            })*
        }
        mod sqlite {
            use super::*;
            $(#[tokio::test]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                let store = SqliteStore::open(folder.path().join("test.db"), OpenMode::Run).unwrap();
                conformance::$case(Arc::new(store), spec()).await;
            })*
        }
    };
}

cases!(
    a_deadline_ends_what_is_open,
    a_budget_lets_calls_in_flight_finish,
    an_execution_that_kills_its_workers_fails,
    a_job_goes_question_by_question_to_its_end,
    leases_come_back_and_late_answers_are_kept
);
