//! Workers as the store sees them: they claim, hold for a moment, record, and write again what may not have been written.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use beacon_domain::{
    Batching, Claim, Clock as _, ExecutionId, JobId, JobState, JobStore as _, JobView as _, Lease, LeaseKey,
    Recorded, Recording, WorkQueue as _,
};
use beacon_store::{PostgresOptions, PostgresStore};
use beacon_testkit::{ManualClock, SpecBuilder, accept, completed_at_cost};

/// What the workers of a test saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How often each lease was given.
    pub(crate) given: HashMap<LeaseKey, u32>,
    /// How often an execution was recorded as completed, as far as the store said so.
    pub(crate) completed: HashMap<ExecutionId, u32>,
    /// Errors that workers met and outlived.
    pub(crate) errors: u32,
}

pub(crate) type Shared = Arc<Mutex<Seen>>;

/// The test's one time.
pub(crate) fn clock() -> ManualClock {
    ManualClock::new()
}

/// Accepts jobs of so many questions over these models; every model is an endpoint `us-east/model`.
pub(crate) async fn submit(
    store: &PostgresStore,
    clock: &ManualClock,
    jobs: u32,
    questions: u32,
    models: &[&str],
    batching: Batching,
) -> Vec<JobId> {
    let mut ids = Vec::new();
    for n in 0..jobs {
        let spec = SpecBuilder::new(&format!("job {n}")).question_count(questions).models(models);
        let key = format!("key {}", n % 3);
        let acceptance = accept(spec.key(&key, (n % 3 + 1) as u8, 1).verified(), batching, clock.now());
        ids.push(acceptance.job);
        store.accept(acceptance).await.unwrap();
    }
    ids
}

/// Works until all jobs have ended. What the store refuses is tried again, the same recordings too.
pub(crate) async fn work(
    options: PostgresOptions,
    clock: ManualClock,
    jobs: Vec<JobId>,
    seen: Shared,
    claim: impl Fn() -> Claim,
) {
    let store = connected(&options, &seen).await;
    loop {
        let leases = match store.claim(claim()).await {
            Ok(claimed) => claimed.leases,
            Err(_) => {
                failed(&seen).await;
                continue;
            }
        };
        note(&seen, &leases);
        if leases.is_empty() {
            match ended(&store, &jobs).await {
                Ok(true) => return,
                Ok(false) => tokio::task::yield_now().await,
                Err(_) => failed(&seen).await,
            }
            // A claim whose commit nobody heard of holds leases that nobody works on.
            let _ = store.reap(1000, clock.now()).await;
            continue;
        }
        let recordings: Vec<Recording> =
            leases.iter().map(|lease| completed_at_cost(lease, 3, clock.now())).collect();
        record(&store, &clock, &recordings, &seen).await;
    }
}

async fn connected(options: &PostgresOptions, seen: &Shared) -> PostgresStore {
    loop {
        match PostgresStore::connect(options.clone()).await {
            Ok(store) => return store,
            Err(_) => failed(seen).await,
        }
    }
}

async fn record(store: &PostgresStore, clock: &ManualClock, recordings: &[Recording], seen: &Shared) {
    loop {
        match store.record(recordings.to_vec(), clock.now()).await {
            Ok(report) => {
                let mut seen = seen.lock().unwrap();
                for (recording, recorded) in recordings.iter().zip(report.recorded) {
                    if recorded == Recorded::Recorded {
                        *seen.completed.entry(recording.lease.execution).or_default() += 1;
                    }
                }
                return;
            }
            Err(_) => failed(seen).await,
        }
    }
}

fn note(seen: &Shared, leases: &[Lease]) {
    let mut seen = seen.lock().unwrap();
    for lease in leases {
        *seen.given.entry(lease.key).or_default() += 1;
    }
}

/// Counts an error and lets the others go on; the server may be gone for a moment.
async fn failed(seen: &Shared) {
    seen.lock().unwrap().errors += 1;
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Whether all jobs have ended.
pub(crate) async fn ended(store: &PostgresStore, jobs: &[JobId]) -> Result<bool, beacon_domain::StoreError> {
    for job in jobs {
        if !store.job(*job).await?.is_some_and(|job| job.state.is_terminal()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Every execution was completed, and by one lease.
pub(crate) async fn assert_all_completed(
    store: &PostgresStore,
    jobs: &[JobId],
    executions: u32,
    seen: &Shared,
) {
    for job in jobs {
        let job = store.job(*job).await.unwrap().unwrap();
        assert_eq!((job.state, job.counts.completed), (JobState::Completed, executions), "{}", job.name);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.completed.len(), jobs.len() * executions as usize);
    assert!(seen.given.values().all(|times| *times == 1), "a lease was given twice");
    assert!(seen.completed.values().all(|times| *times == 1), "an execution was completed twice");
}
