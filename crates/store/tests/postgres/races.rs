//! Recordings, cancels, reapers and claims at the same moment, and a deadlock made on purpose.

use std::time::Duration;

use beacon_domain::{
    Batching, CancelReason, Clock as _, JobStore as _, JobView as _, Lease, LeaseKey, Parting, Recorded,
    WorkQueue as _,
};
use beacon_store::PostgresStore;
use beacon_testkit::{LEASE, claim, completed, failed, retry};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;

use crate::{
    database,
    sound::{assert_sound, plain},
    workers::{clock, ended, submit},
};

const MODELS: [&str; 3] = ["a", "b", "c"];
const ENDPOINTS: [&str; 3] = ["us-east/a", "us-east/b", "us-east/c"];

/// Claims, and makes something of each lease by chance, as a careless worker does: twice, late, or never.
async fn careless(
    store: PostgresStore,
    seed: u64,
    clock: beacon_testkit::ManualClock,
    jobs: Vec<beacon_domain::JobId>,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut old: Vec<Lease> = Vec::new();
    loop {
        let leases = store.claim(claim(&ENDPOINTS, 8, clock.now())).await.unwrap().leases;
        if leases.is_empty() && ended(&store, &jobs).await.unwrap() {
            return;
        }
        old.extend(leases);
        let mut recordings = Vec::new();
        for _ in 0..random.random_range(0..12) {
            let Some(lease) = old.get(random.random_range(0..old.len().max(1))) else { break };
            recordings.push(match random.random_range(0..5) {
                0 => retry(lease, clock.now(), clock.now()),
                1 => failed(lease, clock.now()),
                _ => completed(lease, clock.now()),
            });
        }
        store.record(recordings, clock.now()).await.unwrap();
        let keys: Vec<LeaseKey> = old.iter().rev().take(3).map(|lease| lease.key).collect();
        match random.random_range(0..10) {
            0 => drop(store.give_back(keys, Parting::NoCall, clock.now()).await.unwrap()),
            1 => drop(store.renew(keys, LEASE, clock.now()).await.unwrap()),
            2 => drop(store.reap(50, clock.now()).await.unwrap()),
            3 => clock.advance(LEASE / 4),
            _ => {}
        }
    }
}

// L3, L5, S7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_at_once_the_rows_agree() {
    for batching in [Batching::Question, Batching::Endpoint] {
        // Through a pooler, whose few connections all of them share.
        let (options, clock) = (database::pooled().await, clock());
        let store = PostgresStore::connect(options.clone()).await.unwrap();
        let jobs = submit(&store, &clock, 6, 12, &MODELS, batching).await;

        let mut workers = JoinSet::new();
        for seed in 0..6 {
            let store = PostgresStore::connect(options.clone()).await.unwrap();
            workers.spawn(careless(store, seed, clock.clone(), jobs.clone()));
        }
        for (job, reason) in jobs.iter().zip([CancelReason::By("tester".to_owned()), CancelReason::Budget]) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            store.cancel(*job, reason, clock.now()).await.unwrap();
        }
        while let Some(worker) = workers.join_next().await {
            worker.unwrap();
        }

        assert!(ended(&store, &jobs).await.unwrap());
        assert_sound(&options).await;
    }
}

// L3: time passed for a worker that was away; everything it writes is refused, by whichever process it is sent.
#[tokio::test]
async fn a_worker_that_was_away_too_long_writes_nothing() {
    let (options, clock) = (database::options().await, clock());
    let away = PostgresStore::connect(options.clone()).await.unwrap();
    let other = PostgresStore::connect(options.clone()).await.unwrap();
    let jobs = submit(&away, &clock, 1, 1, &["a"], Batching::Question).await;
    let old = away.claim(claim(&ENDPOINTS, 1, clock.now())).await.unwrap().leases.remove(0);
    clock.advance(LEASE);
    assert_eq!(other.reap(10, clock.now()).await.unwrap().leases_returned, 1);
    let new = other.claim(claim(&ENDPOINTS, 1, clock.now())).await.unwrap().leases.remove(0);
    let before = other.records(jobs[0], None, 10).await.unwrap();

    let report = away.record(vec![completed(&old, clock.now())], clock.now()).await.unwrap();
    let token = beacon_domain::ResumeToken("https://stale".to_owned());
    let checkpointed = away.checkpoint(old.key, token).await.unwrap();
    let given = away.give_back(vec![old.key], Parting::NoCall, clock.now()).await.unwrap();

    assert_eq!((report.recorded, checkpointed, given), (vec![Recorded::Lost], false, 0));
    assert_eq!(other.records(jobs[0], None, 10).await.unwrap(), before);
    assert_eq!(new.key.token, old.key.token + 1);
}

#[tokio::test]
async fn a_deadlock_costs_time_and_nothing_else() {
    let (options, clock) = (database::options().await, clock());
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    submit(&store, &clock, 1, 2, &["a"], Batching::Endpoint).await;
    let lease = store.claim(claim(&ENDPOINTS, 1, clock.now())).await.unwrap().leases.remove(0);
    let stranger = plain(&options).await;
    let watcher = plain(&options).await;
    // It looks for circles so late that the store's transaction is the one that is ended.
    stranger
        .batch_execute("SET deadlock_timeout = '1h'; BEGIN; SELECT FROM beacon.batches FOR UPDATE")
        .await
        .unwrap();

    let recording = vec![completed(&lease, clock.now())];
    let record = store.record(recording, clock.now());
    let circle = async {
        // The recording holds its execution and waits for the batch; now the circle is closed.
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        stranger.batch_execute("SELECT FROM beacon.executions FOR UPDATE; COMMIT").await
    };
    let (recorded, strangers) = tokio::join!(record, circle);

    strangers.unwrap();
    assert_eq!(recorded.unwrap().recorded, [Recorded::Recorded]);
    assert_eq!(deadlocks(&watcher).await, 1);
    assert_sound(&options).await;
}

/// Deadlocks that the server has counted in this database; it tells them with some delay.
async fn deadlocks(watcher: &tokio_postgres::Client) -> i64 {
    const COUNT: &str = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    for _ in 0..200 {
        let seen: i64 = watcher.query_one(COUNT, &[]).await.unwrap().get(0);
        if seen > 0 {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    0
}
