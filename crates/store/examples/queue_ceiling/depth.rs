//! Whether a claim is slower with many finished and many waiting executions.

use beacon_domain::JobStore as _;
use beacon_testkit::Cluster;

use crate::{
    cluster::{empty, job, plain, settle, store_with},
    noop::{drain, quantiles},
};

const FINISHED: i32 = 10_000_000;
const WAITING: u32 = 1_000_000;

pub(crate) async fn report(cluster: &Cluster) {
    for (name, finished, waiting) in
        [("depth 20 thousand", 0, 20_000), ("depth 11 million", FINISHED, WAITING)]
    {
        let options = empty(cluster).await;
        let store = store_with(&options, 1, 1).await;
        let client = plain(&options).await;
        let old = "INSERT INTO beacon.executions (job, n, batch, endpoint, run, model, region, state, token, attempts)
            SELECT 1, n, 0, 1, 1, 0, 0, 'completed', 1, 1 FROM generate_series(10, 9 + $1::int) AS n";
        client.execute(old, &[&finished]).await.unwrap();
        store.accept(job("waiting", waiting, 1)).await.unwrap();
        settle(&client).await;
        let mut worked = drain(&options, 2, 1, 10_000).await;
        println!(
            "{name:<28} {:>10}  claim {} ms, record {} ms (median, p99)",
            "",
            quantiles(&mut worked.claims_ms),
            quantiles(&mut worked.records_ms)
        );
    }
}
