//! Loading: executions accepted per second, by COPY.

use beacon_domain::{Clock as _, JobStore as _, SystemClock};
use beacon_store::PostgresStore;
use beacon_testkit::Cluster;

use crate::cluster::{empty, job};

pub(crate) async fn report(cluster: &Cluster) {
    for executions in [64, 100_000, 1_000_000] {
        let options = empty(cluster).await;
        let store = PostgresStore::connect(options).await.unwrap();
        let clock = SystemClock::new();
        store.accept(job("first", 1, 8)).await.unwrap();
        let acceptance = job("bench", executions, 8);
        let start = clock.monotonic();
        store.accept(acceptance).await.unwrap();
        let took = clock.monotonic().since(start).as_secs_f64();
        println!("{:<28} {:>10.0}  {took:.3} s", format!("load {executions}"), f64::from(executions) / took);
    }
}
