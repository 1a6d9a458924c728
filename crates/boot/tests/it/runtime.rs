//! The wiring: a database file and what stands beside it, logs, signals.

use std::{fs, path::Path};

use beacon_boot::{Access, Interrupts, LogFormat, Place, Runtime, receipt_signer, start_logs};
use beacon_domain::{JobFilter, StoreError};

async fn open(path: &Path, access: Access) -> anyhow::Result<Runtime> {
    Runtime::open(&Place::File(path.to_owned()), access).await
}

#[tokio::test]
async fn to_look_at_a_database_that_is_not_there_is_an_error_and_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");

    let error = open(&path, Access::Shared).await.err().unwrap().to_string();

    assert!(error.contains("beacon.db") && error.contains("--db"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_second_runner_is_told_that_the_file_is_occupied_and_a_reader_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");
    let _runner = open(&path, Access::Run).await.unwrap();

    let second = open(&path, Access::Run).await.err().unwrap();
    let reader = open(&path, Access::Shared).await.unwrap();

    assert!(matches!(second.downcast_ref(), Some(StoreError::Occupied(_))), "{second}");
    assert!(reader.view.jobs(JobFilter::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn the_runner_key_stands_beside_the_database_and_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let _runtime = open(&path, Access::Run).await.unwrap();

    let key = || {
        receipt_signer(&folder.path().join("runs.runner-key")).unwrap();
        fs::read(folder.path().join("runs.runner-key")).unwrap()
    };

    assert_eq!(key(), key());
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["runs.db", "runs.db-shm", "runs.db-wal", "runs.db.lock", "runs.runner-key"]);
}

#[test]
fn logs_can_be_started_twice() {
    let _first = start_logs("warn", LogFormat::Text);
    let before = tracing::enabled!(tracing::Level::DEBUG);

    let _second = start_logs("debug", LogFormat::Json);

    assert_eq!(tracing::enabled!(tracing::Level::DEBUG), before, "the first start stands");
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_that_comes_before_anybody_waits_is_kept() {
    let mut interrupts = Interrupts::listen().unwrap();
    let own = std::process::id().to_string();

    let sent = std::process::Command::new("kill").args(["-TERM", &own]).status().unwrap();

    assert!(sent.success());
    tokio::time::timeout(std::time::Duration::from_secs(20), interrupts.next()).await.unwrap();
}
