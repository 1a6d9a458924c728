//! Every store passes the one suite, and any two stores answer the same to the same history.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod database;

use beacon_store::{MemoryStore, OpenMode, PostgresStore, SqliteStore};
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

async fn in_postgres() -> (PostgresStore, ()) {
    (PostgresStore::connect(database::options().await).await.unwrap(), ())
}

async fn behind_a_pooler() -> (PostgresStore, ()) {
    (PostgresStore::connect(database::pooled().await).await.unwrap(), ())
}

mod memory {
    beacon_testkit::store_conformance!(super::in_memory);
}

mod sqlite {
    beacon_testkit::store_conformance!(super::in_a_file);
}

mod postgres {
    beacon_testkit::store_conformance!(super::in_postgres);
}

mod pooled_postgres {
    beacon_testkit::store_conformance!(super::behind_a_pooler);
}

#[tokio::test]
async fn memory_and_postgres_answer_the_same_to_random_histories() {
    for seed in 0..8 {
        let (store, ()) = in_postgres().await;

        twins::play(seed, &Scene::new(MemoryStore::new()), &Scene::new(store)).await;
    }
}

#[tokio::test]
async fn memory_and_sqlite_answer_the_same_to_random_histories() {
    for seed in 0..12 {
        let (file, _folder) = in_a_file().await;

        twins::play(seed, &Scene::new(MemoryStore::new()), &Scene::new(file)).await;
    }
}
