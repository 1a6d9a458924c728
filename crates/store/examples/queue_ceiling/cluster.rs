//! Databases for cases, jobs of any size, and what the server counts.

use std::time::Duration;

use beacon_domain::{
    Acceptance, Batching, Clock as _, EndpointId, JobStore as _, PlannedBatch, PlannedExecution, SystemClock,
};
use beacon_store::{PostgresOptions, PostgresStore, migrate::Migrator};
use beacon_testkit::{Cluster, SpecBuilder, accept};
use tokio_postgres::{Client, NoTls};

/// A database with the schema, and nothing in it.
pub(crate) async fn empty(cluster: &Cluster) -> PostgresOptions {
    let mut options = PostgresOptions::new(cluster.url(&cluster.database(None)));
    options.connections = 2;
    Migrator::connect(&options).await.unwrap().up().await.unwrap();
    options
}

/// A connection beside the store.
pub(crate) async fn plain(options: &PostgresOptions) -> Client {
    let (client, connection) = tokio_postgres::connect(&options.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A job of so many executions, spread over endpoints `us-east/0`, `us-east/1`, ….
pub(crate) fn job(name: &str, executions: u32, endpoints: u32) -> Acceptance {
    let spec = SpecBuilder::new(name).verified();
    let mut acceptance = accept(spec, Batching::Endpoint, SystemClock::new().now());
    let pattern = acceptance.plan.executions[0].clone();
    let question = acceptance.plan.batches[0].question.clone();
    let names: Vec<EndpointId> = (0..endpoints).map(|n| EndpointId::new(format!("us-east/{n}"))).collect();
    let cell = |n: u32| PlannedExecution {
        run: n + 1,
        endpoint: Some(names[(n % endpoints) as usize].clone()),
        ..pattern.clone()
    };
    acceptance.plan.executions = (0..executions).map(cell).collect();
    acceptance.plan.batches = vec![PlannedBatch { question, executions }];
    acceptance
}

/// A store with one such job.
pub(crate) async fn store_with(options: &PostgresOptions, executions: u32, endpoints: u32) -> PostgresStore {
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    store.accept(job("bench", executions, endpoints)).await.unwrap();
    settle(&plain(options).await).await;
    store
}

/// Leaves no work of a load to the measurement.
pub(crate) async fn settle(client: &Client) {
    for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
        client.batch_execute(statement).await.unwrap();
    }
}

/// Bytes of WAL and commits so far.
pub(crate) async fn counters(client: &Client) -> (f64, f64) {
    const COUNTERS: &str = "SELECT pg_stat_clear_snapshot()::text, (pg_current_wal_lsn() - '0/0')::float8,
        (SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database())";
    // Servers tell their counts with a delay of up to a second.
    let clock = SystemClock::new();
    clock.sleep_until(clock.monotonic() + Duration::from_millis(1500)).await;
    let row = client.query_one(COUNTERS, &[]).await.unwrap();
    (row.get(1), row.get(2))
}
