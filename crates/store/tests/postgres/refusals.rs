//! A database that cannot be used says what, where and what to do, and never a password.

use std::time::Duration;

use beacon_domain::{Batching, Clock as _, JobStore as _, JobView as _, WorkQueue as _};
use beacon_store::{PostgresOptions, PostgresStore};
use beacon_testkit::{Cluster, SpecBuilder, accept, claim};

use crate::{database, sound::plain, workers::clock};

async fn refusal(url: String) -> String {
    let mut options = PostgresOptions::new(url);
    options.patience = Duration::from_secs(5);
    let text = PostgresStore::connect(options).await.unwrap_err().to_string();
    assert!(!text.contains("s3cret"), "{text}");
    text
}

/// Makes the one role that needs a password. Tests that want it may be of one process.
fn guarded(cluster: &Cluster) {
    static MADE: std::sync::Once = std::sync::Once::new();
    MADE.call_once(|| {
        let _ = cluster.sql("postgres", "CREATE ROLE guarded LOGIN PASSWORD 'right'");
    });
}

#[tokio::test]
async fn a_server_that_is_down_is_named() {
    let text = refusal("host=127.0.0.1 port=1 user=ada password=s3cret dbname=beacon".to_owned()).await;

    assert!(text.contains("beacon at 127.0.0.1:1 as ada") && text.contains("start the server"), "{text}");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let cluster = Cluster::shared();
    guarded(cluster);
    let url = cluster.url("postgres").replace("user=postgres", "user=guarded password=s3cret");

    let text = refusal(url).await;

    assert!(text.contains("wrong password"), "{text}");
}

#[tokio::test]
async fn a_missing_password_is_told() {
    let cluster = Cluster::shared();
    guarded(cluster);

    let text = refusal(cluster.url("postgres").replace("user=postgres", "user=guarded")).await;

    assert!(text.contains("as guarded: the server wants a password"), "{text}");
}

#[tokio::test]
async fn a_url_of_another_database_is_told() {
    let text = refusal("mysql://ada:s3cret@db.example/beacon".to_owned()).await;

    assert!(text.contains("mysql://") && text.contains("needs PostgreSQL"), "{text}");
}

#[tokio::test]
async fn a_missing_database_is_told() {
    let text = refusal(Cluster::shared().url("nowhere")).await;

    assert!(text.contains("there is no such database") && text.contains("createdb"), "{text}");
}

#[tokio::test]
async fn a_read_only_database_is_told() {
    let (options, clock) = (database::options().await, clock());
    let client = plain(&options).await;
    let name: String = client.query_one("SELECT current_database()::text", &[]).await.unwrap().get(0);
    client
        .batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))
        .await
        .unwrap();
    let store = PostgresStore::connect(options).await.unwrap();

    let error = store
        .accept(accept(SpecBuilder::new("x").verified(), Batching::Question, clock.now()))
        .await
        .unwrap_err();

    assert!(error.to_string().contains("read-only") && error.to_string().contains("primary"), "{error}");
}

#[tokio::test]
async fn a_user_without_rights_is_told_what_is_missing() {
    let (options, clock) = (database::options().await, clock());
    let client = plain(&options).await;
    client
        .batch_execute(
            "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA beacon TO reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA beacon TO reader",
        )
        .await
        .unwrap();
    let reader = PostgresOptions::new(options.url.replace("user=postgres", "user=reader"));
    let store = PostgresStore::connect(reader).await.unwrap();

    let jobs = store.jobs(beacon_domain::JobFilter::default()).await.unwrap();
    let error = store.claim(claim(&["us-east/m"], 1, clock.now())).await.unwrap_err();

    assert!(jobs.items.is_empty());
    assert!(
        error.to_string().contains("permission denied") && error.to_string().contains("grant"),
        "{error}"
    );
}

#[tokio::test]
async fn a_lock_held_by_somebody_else_is_not_waited_for_without_end() {
    let (mut options, clock) = (database::options().await, clock());
    options.statement_timeout = Duration::from_millis(300);
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    store.accept(accept(SpecBuilder::new("x").verified(), Batching::Question, clock.now())).await.unwrap();
    let stranger = plain(&options).await;
    stranger.batch_execute("BEGIN; SELECT FROM beacon.endpoints FOR UPDATE").await.unwrap();

    let error = store.claim(claim(&["us-east/m"], 1, clock.now())).await.unwrap_err();
    stranger.batch_execute("ROLLBACK").await.unwrap();

    assert!(error.to_string().contains("endpoint::lock"), "{error}");
    assert_eq!(store.claim(claim(&["us-east/m"], 1, clock.now())).await.unwrap().leases.len(), 1);
}

#[tokio::test]
async fn a_pool_without_a_free_connection_says_so() {
    let (mut options, clock) = (database::options().await, clock());
    options.connections = 1;
    // Longer than the connection is busy with preparing statements behind the acceptance.
    options.patience = Duration::from_secs(2);
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    store.accept(accept(SpecBuilder::new("x").verified(), Batching::Question, clock.now())).await.unwrap();
    let stranger = plain(&options).await;
    stranger.batch_execute("BEGIN; LOCK TABLE beacon.jobs").await.unwrap();

    let waits = store.jobs(beacon_domain::JobFilter::default());
    let refused = async {
        tokio::task::yield_now().await;
        let error = store.jobs(beacon_domain::JobFilter::default()).await.unwrap_err();
        stranger.batch_execute("ROLLBACK").await.unwrap();
        error
    };
    let (waited, error) = tokio::join!(waits, refused);

    assert!(error.to_string().contains("are busy"), "{error}");
    assert_eq!(waited.unwrap().items.len(), 1);
}
