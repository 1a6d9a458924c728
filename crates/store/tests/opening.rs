//! Opening a file: who is refused, and with which words.

use beacon_domain::{JobFilter, JobView, StoreError};
use beacon_store::{MemoryStore, OpenMode, SqliteStore};

#[tokio::test]
async fn a_second_runner_is_refused_and_a_reader_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");
    let _runner = SqliteStore::open(&path, OpenMode::Run).unwrap();

    let second = SqliteStore::open(&path, OpenMode::Run).unwrap_err();
    let reader = SqliteStore::open(&path, OpenMode::Shared).unwrap();

    assert!(matches!(&second, StoreError::Occupied(text) if text.contains("beacon.db.lock")), "{second}");
    assert!(reader.jobs(JobFilter::default()).await.unwrap().items.is_empty());
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "just text, and long enough to be no database header ".repeat(40)).unwrap();

    let error = SqliteStore::open(&path, OpenMode::Run).unwrap_err();

    assert!(error.to_string().contains("not a SQLite database"), "{error}");
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();

    let error = SqliteStore::open(&path, OpenMode::Run).unwrap_err();

    assert!(error.to_string().contains("schema version 99"), "{error}");
}

#[tokio::test]
async fn memory_stores_are_apart_and_empty() {
    let (one, _other) = (MemoryStore::new(), MemoryStore::new());

    assert!(one.jobs(JobFilter::default()).await.unwrap().items.is_empty());
}
