//! Opening a file: who is refused, and with which words.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use beacon_domain::{
    Acceptance, Accepted, Batching, CancelReason, Clock, JobFilter, JobId, JobStore, JobView, StoreError,
    WorkQueue,
};
use beacon_store::{MemoryStore, OpenMode, SqliteStore};
use beacon_testkit::{ManualClock, SpecBuilder, accept, claim, completed, failed, retry};

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

#[tokio::test]
async fn a_file_of_the_first_schema_is_brought_up_to_date_by_a_run_and_by_nobody_else() {
    const FIRST: &str = include_str!("../../../migrations/sqlite/0001_init.sql");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(&format!(
        "{FIRST}; PRAGMA user_version = 1; INSERT INTO endpoints (id) VALUES ('us-east/m')"
    ))
    .unwrap();
    drop(old);

    let reader = SqliteStore::open(&path, OpenMode::Shared).unwrap_err();
    let store = SqliteStore::open(&path, OpenMode::Run).unwrap();

    assert!(reader.to_string().contains("the next `beacon run` on it brings it up to date"), "{reader}");
    let spec = SpecBuilder::new("new").verified();
    let clock = ManualClock::new();
    store.accept(accept(spec, Batching::Endpoint, clock.now())).await.unwrap();
    assert_eq!(store.claim(claim(&["us-east/m"], 1, clock.now())).await.unwrap().leases.len(), 1);
}

/// L2: the second schema had every attempt in one table, and results WITHOUT ROWID.
#[tokio::test]
async fn what_a_file_of_the_second_schema_recorded_stays_as_it_was() {
    const SECOND: &str = "
        DROP VIEW every_attempt;
        INSERT INTO attempts SELECT job, n, attempt ->> 'number', token, 0, attempt FROM results;
        CREATE TABLE old (job INTEGER NOT NULL, n INTEGER NOT NULL, answer TEXT, error TEXT, receipt TEXT,
            receipt_hash BLOB, PRIMARY KEY (job, n)) WITHOUT ROWID;
        INSERT INTO old SELECT job, n, answer, error, receipt, receipt_hash FROM results;
        DROP TABLE results;
        ALTER TABLE old RENAME TO results;
        DROP TABLE abandoned;
        ALTER TABLE endpoints DROP COLUMN linger;
        ALTER TABLE endpoints DROP COLUMN longest_call;
        PRAGMA user_version = 2";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");
    let store = SqliteStore::open(&path, OpenMode::Run).unwrap();
    let clock = ManualClock::new();
    let spec = SpecBuilder::new("old").questions(&["a", "b"]).verified();
    let accepted = store.accept(accept(spec, Batching::Endpoint, clock.now())).await.unwrap();
    let Accepted::New(job) = accepted else { panic!("{accepted:?}") };
    let leases = store.claim(claim(&["us-east/m"], 2, clock.now())).await.unwrap().leases;
    store.record(vec![retry(&leases[0], clock.now(), clock.now())], clock.now()).await.unwrap();
    let again = store.claim(claim(&["us-east/m"], 2, clock.now())).await.unwrap().leases.remove(0);
    let ends = vec![completed(&again, clock.now()), failed(&leases[1], clock.now())];
    store.record(ends, clock.now()).await.unwrap();
    let records = store.records(job, None, 10).await.unwrap();
    let leaves = store.receipt_leaves(job, None, 10).await.unwrap();
    drop(store);
    rusqlite::Connection::open(&path).unwrap().execute_batch(SECOND).unwrap();

    let store = SqliteStore::open(&path, OpenMode::Run).unwrap();

    assert_eq!(records.iter().map(|record| record.attempts.len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(store.records(job, None, 10).await.unwrap(), records);
    assert_eq!(store.receipt_leaves(job, None, 10).await.unwrap(), leaves);
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");
    drop(SqliteStore::open(&path, OpenMode::Run).unwrap());
    let newer = "PRAGMA user_version = 99";
    rusqlite::Connection::open(&path).unwrap().execute_batch(newer).unwrap();

    let error = SqliteStore::open(&path, OpenMode::Run).unwrap_err();

    assert!(error.to_string().contains("schema version 99"), "{error}");
}

#[test]
fn a_database_of_another_program_is_refused_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photos.db");
    let theirs = rusqlite::Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE photos (taken INTEGER); PRAGMA user_version = 1").unwrap();
    drop(theirs);
    let before = std::fs::read(&path).unwrap();

    for mode in [OpenMode::Run, OpenMode::Shared] {
        let error = SqliteStore::open(&path, mode).unwrap_err();
        assert!(error.to_string().contains("not a Beacon database"), "{error}");
    }

    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((std::fs::read(&path).unwrap(), left), (before, vec!["photos.db".into()]));
}

#[test]
fn a_reader_makes_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.db");

    let error = SqliteStore::open(&path, OpenMode::Shared).unwrap_err();

    assert!(error.to_string().contains("holds no database"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_database_in_memory_is_refused_because_it_would_not_outlive_the_run() {
    let error = SqliteStore::open(":memory:", OpenMode::Run).unwrap_err();

    assert!(error.to_string().contains("names no file"), "{error}");
}

#[tokio::test]
async fn memory_stores_are_apart_and_empty() {
    let (one, _other) = (MemoryStore::new(), MemoryStore::new());

    assert!(one.jobs(JobFilter::default()).await.unwrap().items.is_empty());
}

/// A database with one job, changed by hand.
async fn damaged(by: &str) -> (SqliteStore, JobId, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");
    let acceptance: Acceptance =
        accept(SpecBuilder::new("hurt").verified(), Batching::Question, ManualClock::new().now());
    let job = acceptance.job;
    SqliteStore::open(&path, OpenMode::Run).unwrap().accept(acceptance).await.unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch(by).unwrap();
    // The first one may still be on its way out, with its lock.
    (SqliteStore::open(&path, OpenMode::Shared).unwrap(), job, folder)
}

#[tokio::test]
async fn values_that_beacon_never_writes_are_called_damage_and_end_no_thread() {
    for by in [
        "UPDATE jobs SET models = '[]'",
        "UPDATE jobs SET models = 'no json'",
        "UPDATE executions SET model = 77",
        "UPDATE executions SET batch = 9",
        "UPDATE executions SET region = 200",
        "UPDATE jobs SET digest = 'short'",
    ] {
        let (store, job, _folder) = damaged(by).await;

        let matrix = store.matrix(job).await.err();
        let claimed = store.claim(claim(&["us-east/m"], 1, ManualClock::new().now())).await.err();

        for error in [matrix, claimed] {
            let text = error.map_or_else(String::new, |error| error.to_string());
            assert!(text.contains("is damaged"), "{by}: {text}");
        }
        assert!(store.jobs(JobFilter::default()).await.is_ok() || by.contains("digest"), "{by}");
    }
}

#[tokio::test]
async fn an_ended_job_cannot_be_made_to_run_again_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");
    let spec = SpecBuilder::new("over").verified();
    let acceptance = accept(spec, Batching::Question, ManualClock::new().now());
    let (job, now) = (acceptance.job, acceptance.now);
    let store = SqliteStore::open(&path, OpenMode::Run).unwrap();
    store.accept(acceptance).await.unwrap();
    store.cancel(job, CancelReason::By("tester".to_owned()), now).await.unwrap();

    let changed = rusqlite::Connection::open(&path).unwrap().execute("UPDATE jobs SET state = 'running'", []);

    assert!(changed.unwrap_err().to_string().contains("CHECK constraint"), "L4");
}
