//! The same job from several clients in the same moment (P11).

use beacon_domain::{Accepted, Batching, Clock as _, JobStore as _};
use beacon_store::PostgresStore;
use beacon_testkit::{SpecBuilder, accept};

use crate::{database, workers::clock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_same_bytes_sent_at_once_one_makes_the_job_and_all_get_it() {
    let (options, clock) = (database::options().await, clock());
    for round in 0..5 {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let mut acceptance = accept(
                SpecBuilder::new(&format!("twin {round}")).verified(),
                Batching::Question,
                clock.now(),
            );
            acceptance.nonce_must_be_new = true;
            let store = PostgresStore::connect(options.clone()).await.unwrap();
            clients.spawn(async move { store.accept(acceptance).await.unwrap() });
        }
        let answers = clients.join_all().await;

        let new = answers.iter().filter(|answer| matches!(answer, Accepted::New(_))).count();
        assert_eq!(new, 1, "{answers:?}");
    }
}
