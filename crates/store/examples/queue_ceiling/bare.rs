//! The ceiling: the statements that change rows, prepared, from a bare loop. No limits, no fairness, no fences, no turning
//! of rows into leases.

use beacon_domain::{Clock as _, SystemClock, WorkQueue as _};
use beacon_store::PostgresOptions;
use beacon_testkit::{Cluster, completed};
use tokio_postgres::Client;

use crate::{
    cluster::{counters, empty, plain, store_with},
    noop::{GROUP, claim},
};

const EXECUTIONS: u32 = 100_000;

const CLAIM: &str = "WITH ready AS MATERIALIZED (SELECT job, n FROM beacon.executions
        WHERE state = 'queued' AND endpoint = $1 AND job = $2 AND not_before = '1970-01-01 00:00:00+00'
        ORDER BY n LIMIT $3 FOR UPDATE SKIP LOCKED)
    UPDATE beacon.executions SET state = 'running', token = token + 1, attempts = attempts + 1, worker = 'worker 0',
        lease_until = now() + interval '30 s', started_at = now()
    FROM ready WHERE executions.job = ready.job AND executions.n = ready.n RETURNING executions.n";
const TAKE: &str =
    "UPDATE beacon.executions SET state = 'completed', resume = NULL, worker = NULL, lease_until = NULL
    FROM unnest($2::int4[]) AS done (n) WHERE job = $1 AND executions.n = done.n AND state = 'running'";
const RESULTS: &str = "INSERT INTO beacon.results (job, n, receipt_hash, answer, receipt, token, attempt)
    SELECT $1, n, decode(repeat('ab', 32), 'hex'), $3, $4, 1, $5 FROM unnest($2::int4[]) AS n";
const COUNTS: &str =
    "UPDATE beacon.batches SET queued = queued + $2, running = running + $3, completed = completed + $4
    WHERE job = $1 AND b = 0";

/// Texts of the length that the store writes.
#[derive(Clone)]
struct Texts {
    answer: String,
    receipt: String,
    attempt: String,
}

pub(crate) async fn report(cluster: &Cluster, workers: u32) {
    let options = empty(cluster).await;
    let store = store_with(&options, EXECUTIONS, 1).await;
    let lease = store.claim(claim(0, 1)).await.unwrap().leases.remove(0);
    let recording = completed(&lease, SystemClock::new().now());
    let beacon_domain::Outcome::Completed { answer, receipt } = &recording.outcome else { return };
    let json = |value: serde_json::Result<String>| value.unwrap();
    let texts = Texts {
        answer: json(serde_json::to_string(answer)),
        receipt: json(serde_json::to_string(receipt)),
        attempt: json(serde_json::to_string(&recording.attempt)),
    };
    let client = plain(&options).await;
    let (wal, commits) = counters(&client).await;
    let clock = SystemClock::new();
    let start = clock.monotonic();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (options, texts) = (options.clone(), texts.clone());
        running.spawn(async move { work(&options, &texts).await });
    }
    let executions: u32 = running.join_all().await.into_iter().sum();
    let took = clock.monotonic().since(start).as_secs_f64();
    let (wal_after, commits_after) = counters(&client).await;
    let n = f64::from(executions);
    println!(
        "{:<28} {:>10.0}  {:.0} B WAL per execution, {:.3} commits",
        format!("noop bare {workers}w 1e"),
        n / took,
        (wal_after - wal) / n,
        (commits_after - commits) / n
    );
}

async fn work(options: &PostgresOptions, texts: &Texts) -> u32 {
    let client: Client = plain(options).await;
    client.batch_execute("SET jit = off").await.unwrap();
    let statements = [CLAIM, TAKE, RESULTS, COUNTS];
    let mut prepared = Vec::new();
    for statement in statements {
        prepared.push(client.prepare(statement).await.unwrap());
    }
    let [claim, take, results, counts] = prepared.try_into().unwrap();
    let (endpoint, job, group) = (1_i32, 1_i64, i64::from(GROUP));
    let mut executions = 0;
    loop {
        client.batch_execute("BEGIN").await.unwrap();
        let rows = client.query(&claim, &[&endpoint, &job, &group]).await.unwrap();
        let places: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        let n = places.len() as i32;
        client.execute(&counts, &[&job, &-n, &n, &0_i32]).await.unwrap();
        client.batch_execute("COMMIT").await.unwrap();
        if places.is_empty() {
            return executions;
        }
        executions += places.len() as u32;
        client.batch_execute("BEGIN").await.unwrap();
        client.execute(&take, &[&job, &places]).await.unwrap();
        client
            .execute(&results, &[&job, &places, &texts.answer, &texts.receipt, &texts.attempt])
            .await
            .unwrap();
        client.execute(&counts, &[&job, &0_i32, &-n, &n]).await.unwrap();
        client.batch_execute("COMMIT").await.unwrap();
    }
}
