//! Retention in bounded steps.

use std::time::Duration;

use beacon_domain::{
    Batching, CancelReason, Clock as _, DeliveryQueue as _, JobStore as _, JobView as _, NewDelivery,
    StoreError,
};
use beacon_store::PostgresStore;
use beacon_testkit::{SpecBuilder, accept};

use crate::{database, sound::plain, workers::clock};

#[tokio::test]
async fn ended_jobs_go_and_their_nonces_stay() {
    let (options, clock) = (database::options().await, clock());
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    let submit = |name: &str| {
        let mut acceptance =
            accept(SpecBuilder::new(name).question_count(10).verified(), Batching::Question, clock.now());
        acceptance.nonce_must_be_new = true;
        acceptance
    };
    let mut jobs = Vec::new();
    for name in ["old", "young", "open"] {
        jobs.push(submit(name).job);
        store.accept(submit(name)).await.unwrap();
    }
    let by = || CancelReason::By("tester".to_owned());
    store.cancel(jobs[0], by(), clock.now()).await.unwrap();
    clock.advance(Duration::from_secs(60));
    store.cancel(jobs[1], by(), clock.now()).await.unwrap();

    let deliveries = jobs.iter().map(|job| NewDelivery {
        id: format!("msg_{job}_end_0"),
        job: *job,
        event: "job.ended".to_owned(),
        url: "https://hook.example/".to_owned(),
        body: "{}".to_owned(),
    });
    store.enqueue(deliveries.collect(), clock.now()).await.unwrap();

    let deleted = store.delete_ended_before(clock.now(), 10, 3).await.unwrap();

    assert_eq!(deleted, 1);
    let left: Vec<bool> = [store.job(jobs[0]).await, store.job(jobs[1]).await, store.job(jobs[2]).await]
        .map(|job| job.unwrap().is_some())
        .to_vec();
    assert_eq!(left, [false, true, true]);
    let told = [store.deliveries(jobs[0], None, 9).await, store.deliveries(jobs[1], None, 9).await];
    assert_eq!(told.map(|told| told.unwrap().len()), [0, 1], "deliveries go with their job");
    let again = store.accept(submit("old")).await;
    assert!(matches!(again, Err(StoreError::Replayed(_))), "{again:?}");
    let rows = "SELECT count(*) FROM beacon.executions";
    assert_eq!(plain(&options).await.query_one(rows, &[]).await.unwrap().get::<_, i64>(0), 20);
}
