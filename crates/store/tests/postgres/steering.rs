//! Quotas and pauses under many processes, and an audit trail that nobody changes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use beacon_domain::{
    Acceptance, AuditEntry, AuditTrail as _, Batching, Clock as _, JobSteering as _, JobStore as _, Parting,
    QuotaStore as _, StoreError, WorkQueue as _,
};
use beacon_spec::{KeyId, Quota};
use beacon_store::{PostgresOptions, PostgresStore};
use beacon_testkit::{ManualClock, SpecBuilder, accept, claim};
use tokio::task::JoinSet;

use crate::{
    database,
    sound::{assert_sound, plain},
    workers::{clock, submit},
};

async fn stores(options: &PostgresOptions, n: usize) -> Vec<Arc<PostgresStore>> {
    let mut stores = Vec::new();
    for _ in 0..n {
        stores.push(Arc::new(PostgresStore::connect(options.clone()).await.unwrap()));
    }
    stores
}

fn acceptance(n: usize, clock: &ManualClock) -> Acceptance {
    let spec = SpecBuilder::new(&format!("job {n}")).question_count(4).constraint("max_cost", 1e-4);
    accept(spec.verified(), Batching::Endpoint, clock.now())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_submissions_at_once_from_four_processes_never_pass_a_quota() {
    let cases = [
        (Quota { open_executions: Some(101), ..Quota::default() }, 25),
        (Quota { jobs_per_day: Some(20), ..Quota::default() }, 20),
        (Quota { spend_per_day_micros: Some(1599), ..Quota::default() }, 15),
    ];
    for (quota, expected) in cases {
        let (options, clock, key) = (database::options().await, clock(), KeyId::new("test").unwrap());
        let stores = stores(&options, 4).await;
        stores[0].set_quota(key.clone(), Some(quota), clock.now()).await.unwrap();

        let mut submissions = JoinSet::new();
        for n in 0..100 {
            let (store, acceptance) = (Arc::clone(&stores[n % 4]), acceptance(n, &clock));
            submissions.spawn(async move { store.accept(acceptance).await });
        }
        let answers = submissions.join_all().await;

        let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
        let refused = answers.iter().filter(|answer| matches!(answer, Err(StoreError::OverQuota(_)))).count();
        assert_eq!((accepted, refused), (expected, 100 - expected), "{quota:?}");
        let (_, used) = stores[1].quota(key, clock.now()).await.unwrap();
        assert_eq!(used.jobs_today, expected as u64, "{quota:?}");
        assert_sound(&options).await;
    }
}

// Executions that claims took are counted by their fencing tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_claimed_once_a_pause_has_returned() {
    const TAKEN: &str = "SELECT coalesce(sum(token), 0)::int8 FROM beacon.executions";
    let (options, clock) = (database::options().await, clock());
    let stores = stores(&options, 4).await;
    let job = submit(&stores[0], &clock, 1, 6, &["a", "b"], Batching::Endpoint).await[0];
    let watcher = plain(&options).await;
    let taken = async || watcher.query_one(TAKEN, &[]).await.unwrap().get::<_, i64>(0);

    for round in 0..15 {
        let over = Arc::new(AtomicBool::new(false));
        let mut claimers = JoinSet::new();
        for store in &stores[1..] {
            claimers.spawn(take_and_give_back(Arc::clone(store), clock.clone(), Arc::clone(&over)));
        }
        let before = taken().await;
        while taken().await == before {
            tokio::task::yield_now().await;
        }

        stores[0].pause(job, "tester".to_owned(), clock.now()).await.unwrap();
        let at_the_pause = taken().await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        over.store(true, Ordering::Relaxed);
        claimers.join_all().await;

        assert_eq!(taken().await, at_the_pause, "round {round}");
        stores[0].resume(job, clock.now()).await.unwrap();
    }
    assert_sound(&options).await;
}

async fn take_and_give_back(store: Arc<PostgresStore>, clock: ManualClock, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        let claimed = store.claim(claim(&["us-east/a", "us-east/b"], 2, clock.now())).await.unwrap();
        let keys = claimed.leases.iter().map(|lease| lease.key).collect();
        store.give_back(keys, Parting::NoCall, clock.now()).await.unwrap();
    }
}

#[tokio::test]
async fn the_audit_trail_is_neither_changed_nor_shortened() {
    let (options, clock) = (database::options().await, clock());
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    let entry = AuditEntry {
        at: clock.now(),
        who: "tester".to_owned(),
        action: "key.add".to_owned(),
        subject: "a key".to_owned(),
        detail: None,
        request_id: None,
    };
    store.note(entry.clone()).await.unwrap();
    let client = plain(&options).await;

    for change in
        ["UPDATE beacon.audit SET who = 'nobody'", "DELETE FROM beacon.audit", "TRUNCATE beacon.audit"]
    {
        let refused = client.batch_execute(change).await.unwrap_err();
        let refused = refused.as_db_error().unwrap().message().to_owned();
        assert!(refused.contains("append-only"), "{change}: {refused}");
    }

    assert_eq!(store.audit(None, 9).await.unwrap().items, [entry]);
}
