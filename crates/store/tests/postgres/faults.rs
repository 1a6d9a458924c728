//! Connections that are cut and a server that crashes: nothing that was acknowledged is lost, nothing is done twice (L9).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use beacon_domain::Batching;
use beacon_store::{PostgresOptions, PostgresStore, migrate::Migrator};
use beacon_testkit::{Cluster, LEASE, Sync, claim};
use tokio::task::JoinSet;

use crate::{
    database,
    sound::{assert_sound, plain},
    workers::{Shared, assert_all_completed, clock, ended, submit, work},
};

const ENDPOINTS: [&str; 2] = ["us-east/a", "us-east/b"];

fn start(
    options: &PostgresOptions,
    clock: &beacon_testkit::ManualClock,
    jobs: &[beacon_domain::JobId],
    seen: &Shared,
) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let of_worker = clock.clone();
        let claim = move || claim(&ENDPOINTS, 6, beacon_domain::Clock::now(&of_worker));
        workers.spawn(work(options.clone(), clock.clone(), jobs.to_vec(), seen.clone(), claim));
    }
    workers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_at_random_lose_nothing_and_repeat_nothing() {
    let (options, clock, seen) = (database::options().await, clock(), Shared::default());
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    let jobs = submit(&store, &clock, 4, 150, &["a", "b"], Batching::Endpoint).await;
    let done = AtomicBool::new(false);

    let mut workers = start(&options, &clock, &jobs, &seen);
    let cut = async {
        const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
            ORDER BY random() LIMIT 2";
        let client = plain(&options).await;
        let mut cuts = 0;
        while !done.load(Ordering::Relaxed) {
            cuts += client.query(CUT, &[]).await.unwrap().len();
            // A lease of a claim that nobody heard of must run out some time.
            clock.advance(LEASE / 20);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        cuts
    };
    let all = async {
        while let Some(worker) = workers.join_next().await {
            worker.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    };
    let (cuts, ()) = tokio::join!(cut, all);

    assert!(cuts > 5, "{cuts}");
    assert_all_completed(&store, &jobs, 300, &seen).await;
    assert_sound(&options).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_loses_nothing_that_was_acknowledged() {
    let cluster = Cluster::start(Sync::On).unwrap();
    let options = PostgresOptions::new(cluster.url(&cluster.database(None)));
    Migrator::connect(&options).await.unwrap().up().await.unwrap();
    let (clock, seen) = (clock(), Shared::default());
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    let jobs = submit(&store, &clock, 4, 150, &["a", "b"], Batching::Endpoint).await;

    let mut workers = start(&options, &clock, &jobs, &seen);
    for _ in 0..3 {
        let goal = seen.lock().unwrap().completed.len() + 50;
        while seen.lock().unwrap().completed.len() < goal && !workers.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cluster.crash();
        cluster.start_again();
        clock.advance(LEASE);
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }

    assert!(ended(&store, &jobs).await.unwrap());
    assert!(seen.lock().unwrap().errors > 0, "the workers met the crash");
    assert_all_completed(&store, &jobs, 300, &seen).await;
    assert_sound(&options).await;
}
