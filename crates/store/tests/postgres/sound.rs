//! What must hold of the rows after everything that can happen.

use beacon_store::PostgresOptions;
use tokio_postgres::NoTls;

/// Each query finds what must not be.
const MUST_BE_EMPTY: [(&str, &str); 9] = [
    (
        "counts of batches equal their rows",
        "SELECT job, b FROM beacon.batches LEFT JOIN (SELECT job, batch AS b,
            count(*) FILTER (WHERE state = 'blocked') AS blocked, count(*) FILTER (WHERE state = 'queued') AS queued,
            count(*) FILTER (WHERE state = 'running') AS running, count(*) FILTER (WHERE state = 'completed') AS completed,
            count(*) FILTER (WHERE state = 'failed') AS failed, count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
            count(*) FILTER (WHERE state = 'timed_out') AS timed_out FROM beacon.executions GROUP BY job, batch) AS rows USING (job, b)
         WHERE (batches.blocked, batches.queued, batches.running, batches.completed, batches.failed, batches.cancelled, batches.timed_out)
            IS DISTINCT FROM (rows.blocked, rows.queued, rows.running, rows.completed, rows.failed, rows.cancelled, rows.timed_out)",
    ),
    (
        "what completed has its answer and receipt, what failed has its error",
        "SELECT job, n FROM beacon.executions LEFT JOIN beacon.results USING (job, n)
         WHERE (state = 'completed' AND (answer IS NULL OR receipt IS NULL)) OR (state = 'failed' AND error IS NULL)",
    ),
    (
        "a result belongs to an execution that has ended",
        "SELECT job, n FROM beacon.results JOIN beacon.executions USING (job, n) WHERE state IN ('blocked', 'queued', 'running')",
    ),
    (
        "an attempt that counts was made under a token that was given",
        "SELECT job, n FROM beacon.every_attempt JOIN beacon.executions USING (job, n) WHERE every_attempt.token > executions.token",
    ),
    (
        "what is completed has one attempt that is not late",
        "SELECT job, n FROM beacon.executions JOIN beacon.every_attempt USING (job, n) WHERE state = 'completed' AND NOT late
         AND record::json ->> 'error' IS NULL GROUP BY job, n HAVING count(*) <> 1",
    ),
    ("a running execution has a lease, and no other has", "SELECT job, n FROM beacon.executions
         WHERE (state = 'running') <> (lease_until IS NOT NULL) OR (state = 'running') <> (worker IS NOT NULL)"),
    (
        "an open job has open executions, an ended one has none",
        "SELECT no FROM beacon.jobs WHERE (ended_at IS NULL) <> EXISTS (SELECT FROM beacon.executions
            WHERE job = no AND state IN ('blocked', 'queued', 'running'))",
    ),
    (
        "a batch is done when nothing of it is open",
        "SELECT job, b FROM beacon.batches WHERE (state = 'done') <> (blocked + queued + running = 0)",
    ),
    (
        "costs of jobs are those of their attempts in time",
        "SELECT no FROM beacon.jobs WHERE cost <> coalesce((SELECT sum(coalesce((record::json -> 'usage' ->> 'cost_micros')::bigint, 0))
            FROM beacon.every_attempt WHERE job = no AND NOT late), 0)",
    ),
];

/// Fails if the rows contradict each other.
pub(crate) async fn assert_sound(options: &PostgresOptions) {
    let client = plain(options).await;
    for (rule, query) in MUST_BE_EMPTY {
        let wrong = client.query(query, &[]).await.unwrap();
        assert!(wrong.is_empty(), "{rule}: {} rows break it, the first is {:?}", wrong.len(), wrong[0]);
    }
}

/// A connection beside the store, around a pooler.
pub(crate) async fn plain(options: &PostgresOptions) -> tokio_postgres::Client {
    let url = options.direct_url.as_ref().unwrap_or(&options.url);
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
