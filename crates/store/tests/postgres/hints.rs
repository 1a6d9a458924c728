//! Hints from one process to another.

use std::time::Duration;

use beacon_domain::{Batching, CancelReason, Clock as _, JobStore as _, Topic};
use beacon_store::PostgresStore;
use beacon_testkit::{SpecBuilder, accept};

use crate::{database, workers::clock};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_in_one_process_wakes_another() {
    let (options, clock) = (database::options().await, clock());
    let one = PostgresStore::connect(options.clone()).await.unwrap();
    let other = PostgresStore::connect(options.clone()).await.unwrap();
    let mut queue = other.wakeups().subscribe(Topic::Queue);
    // It wakes once when it begins to listen.
    tokio::time::timeout(SOON, queue.changed()).await.unwrap();
    let acceptance = accept(SpecBuilder::new("hint").verified(), Batching::Question, clock.now());
    let job = acceptance.job;
    let mut of_job = other.wakeups().subscribe(Topic::Job(job));

    one.accept(acceptance).await.unwrap();
    tokio::time::timeout(SOON, queue.changed()).await.unwrap();
    tokio::time::timeout(SOON, of_job.changed()).await.unwrap();
    one.cancel(job, CancelReason::By("tester".to_owned()), clock.now()).await.unwrap();

    tokio::time::timeout(SOON, of_job.changed()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_was_cut_listens_again() {
    let (options, clock) = (database::options().await, clock());
    let one = PostgresStore::connect(options.clone()).await.unwrap();
    let other = PostgresStore::connect(options.clone()).await.unwrap();
    let mut queue = other.wakeups().subscribe(Topic::Queue);
    tokio::time::timeout(SOON, queue.changed()).await.unwrap();

    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN beacon'";
    crate::sound::plain(&options).await.query(cut, &[]).await.unwrap();
    tokio::time::timeout(SOON, queue.changed()).await.unwrap();
    one.accept(accept(SpecBuilder::new("hint").verified(), Batching::Question, clock.now())).await.unwrap();

    tokio::time::timeout(SOON, queue.changed()).await.unwrap();
}
