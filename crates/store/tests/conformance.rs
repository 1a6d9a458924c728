//! Every store passes the one suite, and any two stores answer the same to the same history.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use beacon_store::{MemoryStore, OpenMode, SqliteStore};
use beacon_testkit::conformance::{Scene, twins};
use tempfile::TempDir;

async fn in_memory() -> (MemoryStore, ()) {
    (MemoryStore::new(), ())
}

async fn in_a_file() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("test.db"), OpenMode::Run).unwrap();
    (store, folder)
}

mod memory {
    beacon_testkit::store_conformance!(super::in_memory);
}

mod sqlite {
    beacon_testkit::store_conformance!(super::in_a_file);
}

#[tokio::test]
async fn memory_and_sqlite_answer_the_same_to_random_histories() {
    for seed in 0..12 {
        let (file, _folder) = in_a_file().await;

        twins::play(seed, &Scene::new(MemoryStore::new()), &Scene::new(file)).await;
    }
}
