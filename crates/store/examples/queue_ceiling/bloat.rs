//! How much larger the hot table is after a million executions than when they were loaded.

use beacon_testkit::Cluster;
use tokio_postgres::Client;

use crate::{
    cluster::{empty, plain, store_with},
    noop::drain,
};

const EXECUTIONS: u32 = 1_000_000;

pub(crate) async fn report(cluster: &Cluster) {
    let options = empty(cluster).await;
    let _store = store_with(&options, EXECUTIONS, 1).await;
    let client = plain(&options).await;
    let loaded = sizes(&client).await;
    let worked = drain(&options, 4, 1, u32::MAX).await;
    let after = sizes(&client).await;
    // What autovacuum would do in the next minute anyway.
    client.batch_execute("VACUUM beacon.executions").await.unwrap();
    let vacuumed = sizes(&client).await;
    let mib = |(heap, indexes): (f64, f64)| format!("{:.0} + {:.0}", heap / 1048576.0, indexes / 1048576.0);
    println!(
        "{:<28} {:>10}  heap + indexes of executions, MiB: {} loaded, {} when all are done, {} after a vacuum: {:.2} times what was loaded",
        "bloat",
        worked.executions,
        mib(loaded),
        mib(after),
        mib(vacuumed),
        (vacuumed.0 + vacuumed.1) / (loaded.0 + loaded.1),
    );
}

async fn sizes(client: &Client) -> (f64, f64) {
    const SIZES: &str =
        "SELECT pg_relation_size('beacon.executions')::float8, pg_indexes_size('beacon.executions')::float8";
    let row = client.query_one(SIZES, &[]).await.unwrap();
    (row.get(0), row.get(1))
}
