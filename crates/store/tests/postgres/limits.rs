//! Limits over many processes: whoever claims at the same time, no limit is ever exceeded (S1, O3).

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use beacon_domain::{
    AccountId, AccountLimit, Batching, Board as _, Claim, Clock as _, DayBudget, JobState, JobStore as _,
    JobView as _, Parting, WorkQueue as _, WorkerId,
};
use beacon_store::{PostgresOptions, PostgresStore};
use beacon_testkit::{ManualClock, SpecBuilder, accept, claim, completed, completed_at_cost};
use tokio::task::JoinSet;

use crate::{
    database,
    sound::{assert_sound, plain},
    workers::{Shared, assert_all_completed, clock, submit, work},
};

const MODELS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Endpoints a, b and c are of one account.
const OF_ACCOUNT: usize = 3;
const ENDPOINT_LIMIT: u32 = 2;
const ACCOUNT_LIMIT: u32 = 4;
const GLOBAL_LIMIT: u32 = 8;
const WORKERS: usize = 5;

fn by_endpoint(clock: &ManualClock) -> Claim {
    let endpoints = MODELS.map(|model| format!("us-east/{model}"));
    claim(&endpoints.each_ref().map(String::as_str), ENDPOINT_LIMIT, clock.now())
}

fn by_everything(clock: &ManualClock) -> Claim {
    let mut claim = by_endpoint(clock);
    let account = AccountId::new("one");
    for room in &mut claim.rooms[..OF_ACCOUNT] {
        room.account = Some(account.clone());
    }
    claim.accounts = vec![AccountLimit { account, limit: ACCOUNT_LIMIT }];
    claim.global_limit = Some(GLOBAL_LIMIT);
    claim
}

/// Looks at live leases again and again, each time at one state of the database; how often, and the most seen.
async fn watch(options: PostgresOptions, stop: &AtomicBool) -> (u32, [i64; 3]) {
    const LIVE: &str = "WITH live AS (SELECT endpoints.id, count(*) AS n FROM beacon.executions
            JOIN beacon.endpoints ON no = endpoint WHERE state = 'running' GROUP BY endpoints.id)
        SELECT coalesce(max(n), 0)::int8, coalesce(sum(n) FILTER (WHERE id IN ('us-east/a', 'us-east/b', 'us-east/c')), 0)::int8,
            coalesce(sum(n), 0)::int8 FROM live";
    let client = plain(&options).await;
    let (mut looks, mut most) = (0, [0; 3]);
    while !stop.load(Ordering::Relaxed) {
        let row = client.query_one(LIVE, &[]).await.unwrap();
        for (most, column) in most.iter_mut().zip(0..) {
            *most = (*most).max(row.get(column));
        }
        looks += 1;
    }
    (looks, most)
}

/// Plays workers in several processes until all is done; the most live leases of an endpoint, the account and in all.
async fn most_live(limited: fn(&ManualClock) -> Claim) -> [i64; 3] {
    let (options, clock, seen) = (database::options().await, clock(), Shared::default());
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    let jobs = submit(&store, &clock, 6, 20, &MODELS, Batching::Endpoint).await;
    let stop = AtomicBool::new(false);

    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let of_worker = clock.clone();
        let claim = move || limited(&of_worker);
        workers.spawn(work(options.clone(), clock.clone(), jobs.clone(), seen.clone(), claim));
    }
    let all = async {
        while let Some(ended) = workers.join_next().await {
            ended.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    };
    let ((), (looks, most)) = tokio::join!(all, watch(options.clone(), &stop));

    assert!(looks > 20, "{looks}");
    assert_all_completed(&store, &jobs, 20 * MODELS.len() as u32, &seen).await;
    assert_sound(&options).await;
    most
}

// S1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_of_many_processes_never_exceed_an_endpoints_limit() {
    let [endpoint, ..] = most_live(by_endpoint).await;

    assert_eq!(endpoint, i64::from(ENDPOINT_LIMIT));
}

// S1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_of_many_processes_never_exceed_an_accounts_or_the_whole_limit() {
    let [endpoint, account, global] = most_live(by_everything).await;

    assert_eq!(endpoint, i64::from(ENDPOINT_LIMIT));
    assert_eq!(account, i64::from(ACCOUNT_LIMIT));
    assert_eq!(global, i64::from(GLOBAL_LIMIT));
}

// S1: two endpoints of one account, claimed at the same moment, do not both take the last room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_endpoints_never_both_take_an_accounts_last_room() {
    let (options, clock) = (database::options().await, clock());
    let stores = [
        PostgresStore::connect(options.clone()).await.unwrap(),
        PostgresStore::connect(options.clone()).await.unwrap(),
    ];
    submit(&stores[0], &clock, 1, 40, &["a", "b"], Batching::Endpoint).await;
    let last_room = |endpoint: &str| {
        let mut claim = claim(&[endpoint], 5, clock.now());
        claim.rooms[0].account = Some(AccountId::new("one"));
        claim.accounts = vec![AccountLimit { account: AccountId::new("one"), limit: 1 }];
        claim
    };

    for _ in 0..40 {
        let (one, other) =
            tokio::join!(stores[0].claim(last_room("us-east/a")), stores[1].claim(last_room("us-east/b")));
        let leases = [one.unwrap().leases, other.unwrap().leases].concat();
        assert_eq!(leases.len(), 1);
        stores[0].record(vec![completed(&leases[0], clock.now())], clock.now()).await.unwrap();
    }
}

// O3: once a recording has used up the day's budget, no later claim gives anything.
#[tokio::test]
async fn a_spent_budget_is_seen_by_every_process() {
    let (options, clock) = (database::options().await, clock());
    let one = PostgresStore::connect(options.clone()).await.unwrap();
    let other = PostgresStore::connect(options).await.unwrap();
    submit(&one, &clock, 1, 10, &["a"], Batching::Endpoint).await;
    let capped =
        || Claim { day_budget: Some(DayBudget { cap_micros: 100 }), ..claim(&["us-east/a"], 1, clock.now()) };

    let lease = one.claim(capped()).await.unwrap().leases.remove(0);
    one.record(vec![completed_at_cost(&lease, 100, clock.now())], clock.now()).await.unwrap();

    assert!(other.claim(capped()).await.unwrap().leases.is_empty());
}

// O3: recordings of many processes reach a job's cap together; it ends once and counts what was paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cost_cap_reached_by_many_at_once_ends_the_job_once() {
    let (options, clock) = (database::options().await, clock());
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    let spec = SpecBuilder::new("cap").question_count(40).constraint("max_cost", 0.0001).verified();
    let acceptance = accept(spec, Batching::Endpoint, clock.now());
    let job = acceptance.job;
    store.accept(acceptance).await.unwrap();
    let leases = store.claim(claim(&["us-east/m"], 12, clock.now())).await.unwrap().leases;

    let mut recorders = JoinSet::new();
    for lease in leases {
        let (options, now) = (options.clone(), clock.now());
        recorders.spawn(async move {
            let store = PostgresStore::connect(options).await.unwrap();
            store.record(vec![completed_at_cost(&lease, 30, now)], now).await.unwrap().jobs_ended.len()
        });
    }
    let ends: usize = recorders.join_all().await.into_iter().sum();

    let summary = store.job(job).await.unwrap().unwrap();
    assert_eq!((ends, summary.state), (1, JobState::CompletedWithFailures));
    assert_eq!((summary.counts.completed, summary.counts.cancelled, summary.cost_micros), (12, 28, 360));
    assert_sound(&options).await;
}

// S4: however many processes claim one slot at a time, shares are those of one.
#[tokio::test]
async fn shares_are_fair_over_processes() {
    let (options, clock) = (database::options().await, clock());
    let mut stores = Vec::new();
    for _ in 0..5 {
        stores.push(PostgresStore::connect(options.clone()).await.unwrap());
    }
    for (name, seed, weight) in [("heavy", 1, 2), ("light", 2, 1)] {
        let spec = SpecBuilder::new(name).question_count(40).key(name, seed, weight).verified();
        stores[0].accept(accept(spec, Batching::Endpoint, clock.now())).await.unwrap();
    }

    let mut heavy = 0;
    for turn in 0..30 {
        let store = &stores[turn % stores.len()];
        let lease = store.claim(claim(&["us-east/m"], 1, clock.now())).await.unwrap().leases.remove(0);
        let job = store.job(lease.key.execution.job).await.unwrap().unwrap();
        heavy += u32::from(job.name.as_str() == "heavy");
        store.record(vec![completed(&lease, clock.now())], clock.now()).await.unwrap();
    }

    assert_eq!(heavy, 20);
}

// S1: processes with other endpoints files than the rest are a mistake, and the limit that surely holds is the smallest.
#[tokio::test]
async fn of_the_limits_of_several_workers_the_smallest_holds_until_its_worker_is_gone() {
    let (options, clock) = (database::options().await, clock());
    let store = PostgresStore::connect(options).await.unwrap();
    submit(&store, &clock, 1, 20, &["m"], Batching::Endpoint).await;
    let take = async |worker: &str, limit: u32| {
        let mut asked = claim(&["us-east/m"], limit, clock.now());
        asked.worker = WorkerId::new(worker);
        asked.lease = Duration::from_secs(3600);
        store.claim(asked).await.unwrap().leases.len()
    };
    let shown = async || store.endpoints(clock.now()).await.unwrap()[0].limit;

    assert_eq!(take("large", 4).await, 4, "it does not know of another yet");
    assert_eq!(take("small", 1).await, 0);
    assert_eq!((take("large", 6).await, shown().await), (0, Some(1)));
    // Who looks for work says again that it is there, also when there is no room.
    clock.advance(Duration::from_secs(50));
    assert_eq!(take("small", 1).await, 0);
    clock.advance(Duration::from_secs(50));
    assert_eq!((take("large", 6).await, shown().await), (0, Some(1)));
    clock.advance(Duration::from_secs(10));

    assert_eq!(
        (take("large", 6).await, shown().await),
        (2, Some(6)),
        "the other one has been silent for a minute"
    );
}

// S1: so it is with the time for which calls count that were left, of which the longest surely is enough.
#[tokio::test]
async fn of_the_lingers_of_several_workers_the_longest_holds_until_its_worker_is_gone() {
    const ENDS: &str = "DELETE FROM beacon.abandoned RETURNING extract(epoch FROM until)::int8";
    let (options, clock) = (database::options().await, clock());
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    let client = plain(&options).await;
    submit(&store, &clock, 1, 20, &["m"], Batching::Endpoint).await;
    let counts_for_s = async |worker: &str, linger_s: u64| {
        let mut asked = claim(&["us-east/m"], 1, clock.now());
        asked.worker = WorkerId::new(worker);
        asked.rooms[0].linger = Duration::from_secs(linger_s);
        let lease = store.claim(asked).await.unwrap().leases.remove(0);
        store.give_back(vec![lease.key], Parting::Abandoned, clock.now()).await.unwrap();
        client.query_one(ENDS, &[]).await.unwrap().get::<_, i64>(0) - clock.now().as_second()
    };

    assert_eq!(counts_for_s("short", 10).await, 10, "it does not know of another yet");
    assert_eq!(counts_for_s("long", 100).await, 100);
    assert_eq!(counts_for_s("short", 10).await, 100);
    clock.advance(Duration::from_secs(50));
    assert_eq!(counts_for_s("long", 100).await, 100);
    clock.advance(Duration::from_secs(50));
    assert_eq!(counts_for_s("short", 10).await, 100);
    clock.advance(Duration::from_secs(10));

    assert_eq!(counts_for_s("short", 10).await, 10, "the other one has been silent for a minute");
}
