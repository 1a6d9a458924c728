//! Claims and recordings of executions that cost nothing, by the store.

use std::{sync::Arc, time::Duration};

use beacon_domain::{Claim, Clock as _, EndpointId, Gate, Room, SystemClock, WorkQueue as _, WorkerId};
use beacon_store::{PostgresOptions, PostgresStore};
use beacon_testkit::{Cluster, LEASE, completed};

use crate::cluster::{counters, empty, plain, store_with};

/// Executions of one claim and one recording.
pub(crate) const GROUP: u32 = 50;
const EXECUTIONS: u32 = 100_000;

/// What one worker saw.
#[derive(Debug, Default)]
pub(crate) struct Worked {
    pub(crate) executions: u32,
    pub(crate) claims_ms: Vec<f64>,
    pub(crate) records_ms: Vec<f64>,
}

pub(crate) async fn report(cluster: &Cluster, workers: u32, endpoints: u32) {
    let options = empty(cluster).await;
    let store = store_with(&options, EXECUTIONS, endpoints).await;
    let client = plain(&options).await;
    // Workers live long: what connecting costs is no part of an execution's price.
    let long_lived = stores(&options, workers).await;
    let (wal, commits) = counters(&client).await;
    let clock = SystemClock::new();
    let start = clock.monotonic();
    let worked = drain_with(&long_lived, endpoints, u32::MAX).await;
    let took = clock.monotonic().since(start).as_secs_f64();
    let (wal_after, commits_after) = counters(&client).await;
    let payload = "SELECT avg(length(answer) + length(receipt) + length(attempt))::float8
        FROM beacon.results WHERE n % 100 = 0";
    let payload: f64 = client.query_one(payload, &[]).await.unwrap().get(0);
    let n = f64::from(worked.executions);
    let (mut claims, mut records) = (worked.claims_ms, worked.records_ms);
    println!(
        "{:<28} {:>10.0}  {:.0} B WAL per execution ({payload:.0} B of it answer, receipt, attempt), {:.3} commits; {:.1} leases a claim; claim {}, record {} ms (median, p99)",
        format!("noop store {workers}w {endpoints}e"),
        n / took,
        (wal_after - wal) / n,
        (commits_after - commits) / n,
        n / claims.len() as f64,
        quantiles(&mut claims),
        quantiles(&mut records),
    );
    drop(store);
}

/// Works with so many workers, each with a store of its own, until nothing is left or `most` are done by each.
pub(crate) async fn drain(options: &PostgresOptions, workers: u32, endpoints: u32, most: u32) -> Worked {
    drain_with(&stores(options, workers).await, endpoints, most).await
}

/// A store for each worker.
pub(crate) async fn stores(options: &PostgresOptions, workers: u32) -> Vec<Arc<PostgresStore>> {
    let mut stores = Vec::new();
    for _ in 0..workers {
        stores.push(Arc::new(PostgresStore::connect(options.clone()).await.unwrap()));
    }
    stores
}

/// The same with stores that were connected before, as workers are that live long.
pub(crate) async fn drain_with(stores: &[Arc<PostgresStore>], endpoints: u32, most: u32) -> Worked {
    let mut running = tokio::task::JoinSet::new();
    for (store, worker) in stores.iter().cloned().zip(0..) {
        running.spawn(async move { work(&store, worker, endpoints, most).await });
    }
    let mut sum = Worked::default();
    while let Some(worked) = running.join_next().await {
        let worked = worked.unwrap();
        sum.executions += worked.executions;
        sum.claims_ms.extend(worked.claims_ms);
        sum.records_ms.extend(worked.records_ms);
    }
    sum
}

/// A claim of a group over all endpoints, beginning with another endpoint for each worker.
pub(crate) fn claim(worker: u32, endpoints: u32) -> Claim {
    let room = |n: u32| Room {
        endpoint: EndpointId::new(format!("us-east/{}", (worker + n) % endpoints)),
        free: GROUP,
        limit: 100_000,
        most: 100_000,
        account: None,
        linger: Duration::ZERO,
        gate: Gate::Open,
    };
    Claim {
        worker: WorkerId::new(format!("worker {worker}")),
        rooms: (0..endpoints).map(room).collect(),
        accounts: Vec::new(),
        global_limit: None,
        at_most: GROUP,
        lease: LEASE,
        longest_call: LEASE,
        day_budget: None,
        now: SystemClock::new().now(),
    }
}

async fn work(store: &PostgresStore, worker: u32, endpoints: u32, most: u32) -> Worked {
    let clock = SystemClock::new();
    let mut worked = Worked::default();
    while worked.executions < most {
        let start = clock.monotonic();
        let leases = store.claim(claim(worker, endpoints)).await.unwrap().leases;
        worked.claims_ms.push(clock.monotonic().since(start).as_secs_f64() * 1e3);
        if leases.is_empty() {
            break;
        }
        worked.executions += leases.len() as u32;
        let recordings = leases.iter().map(|lease| completed(lease, clock.now())).collect();
        let start = clock.monotonic();
        store.record(recordings, clock.now()).await.unwrap();
        worked.records_ms.push(clock.monotonic().since(start).as_secs_f64() * 1e3);
    }
    worked
}

/// Median and 99th percentile.
pub(crate) fn quantiles(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
    format!("{:.1}, {:.1}", at(0.5), at(0.99))
}
