//! What is the server's: its clock, and its sessions.

use std::{sync::Arc, time::Duration};

use beacon_domain::{Batching, Clock, JobStore as _, Recorded, WorkQueue as _};
use beacon_store::PostgresStore;
use beacon_testkit::{LEASE, ManualClock, SpecBuilder, accept, claim, completed};

use crate::{
    database,
    sound::plain,
    workers::{Shared, assert_all_completed, clock, submit, work},
};

// L3: whose clock is wrong loses no lease, and takes none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_whose_clocks_differ_judge_a_lease_by_the_servers_clock() {
    let mut options = database::options().await;
    let right = PostgresStore::connect(options.clone()).await.unwrap();
    let (behind, ahead) = (ManualClock::new(), ManualClock::new());
    ahead.advance(Duration::from_secs(2_000_000_000));
    options.clock = Arc::new(behind.clone());
    let behind_store = PostgresStore::connect(options.clone()).await.unwrap();
    options.clock = Arc::new(ahead.clone());
    let ahead_store = PostgresStore::connect(options).await.unwrap();
    let now = right.clock().now();
    right.accept(accept(SpecBuilder::new("clocks").verified(), Batching::Question, now)).await.unwrap();

    let claimed = behind_store.claim(claim(&["us-east/m"], 1, behind_store.clock().now())).await.unwrap();
    let early = ahead_store.reap(10, ahead_store.clock().now()).await.unwrap();
    ahead.advance(LEASE * 2);
    let late = ahead_store.reap(10, ahead_store.clock().now()).await.unwrap();

    assert!(ahead.now() > now + Duration::from_secs(1_000_000_000) && behind.now() < now);
    assert_eq!((claimed.leases.len(), early.leases_returned, late.leases_returned), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_is_found_out_also_where_no_way_around_it_is_given() {
    let (mut options, clock) = (database::pooled().await, clock());
    options.direct_url = None;
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    let jobs = submit(&store, &clock, 2, 20, &["m"], Batching::Endpoint).await;
    let seen = Shared::default();
    let asked = claim(&["us-east/m"], 4, clock.now());

    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let claim = asked.clone();
        workers
            .spawn(work(options.clone(), clock.clone(), jobs.clone(), seen.clone(), move || claim.clone()));
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }

    assert_all_completed(&store, &jobs, 20, &seen).await;
    assert_eq!(seen.lock().unwrap().errors, 0);
}

// The one session keeps its statements; none of them may stop working because a table has changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_goes_on_while_its_tables_change() {
    const CHANGES: [&str; 5] = [
        "SELECT 1",
        "ALTER TABLE beacon.executions ADD COLUMN one int, ALTER COLUMN expiries TYPE int",
        "SELECT 1",
        "ALTER TABLE beacon.executions DROP COLUMN one, ALTER COLUMN expiries TYPE smallint",
        "ALTER TABLE beacon.endpoints ALTER COLUMN gate TYPE varchar",
    ];
    let (mut options, clock) = (database::options().await, clock());
    options.connections = 1;
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    submit(&store, &clock, 1, 5, &["m"], Batching::Endpoint).await;
    let client = plain(&options).await;
    let mut recorded = Vec::new();

    for change in CHANGES {
        client.batch_execute(change).await.unwrap();
        for lease in store.claim(claim(&["us-east/m"], 1, clock.now())).await.unwrap().leases {
            let report = store.record(vec![completed(&lease, clock.now())], clock.now()).await.unwrap();
            recorded.extend(report.recorded);
        }
    }

    assert_eq!(recorded, [Recorded::Recorded; 5]);
}
