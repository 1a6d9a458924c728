//! Calls that nobody waits for any more and that may still run at their endpoint: they count against every limit (S1).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    codec::{At, big, int, maybe_time},
    error::Fault,
    lease::columns,
    ready::{Ready, ready},
    record::Cell,
    transaction::{Kind, Line, Tx, Work},
};
use crate::rules::Abandoned;

/// The calls of these claims were left at `now`.
pub(crate) async fn abandon(tx: &Tx, left: &BTreeMap<Cell, i64>, now: Timestamp) -> Result<(), Fault> {
    let left = left.iter().map(|(cell, token)| (*cell, (*token, At::from(now))));
    abandon_since(tx, &left.collect(), now).await
}

/// The calls of these claims were left, each at its time. One that can be found again counts from then until it is; another
/// as long as its endpoint may go on with it. Whoever has an execution by now has its call as well, if that can be found
/// again. What has ended by `now` is not noted.
pub(crate) async fn abandon_since(
    tx: &Tx,
    left: &BTreeMap<Cell, (i64, At)>,
    now: Timestamp,
) -> Result<(), Fault> {
    const ABANDON: &str = "-- abandoned::note
        INSERT INTO beacon.abandoned (job, n, token, endpoint, until)
        SELECT held.job, held.n, held.token, endpoint, ends
        FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::timestamptz[]) AS held (job, n, token, since)
        JOIN beacon.executions ON executions.job = held.job AND executions.n = held.n
        JOIN beacon.endpoints ON no = endpoint
        CROSS JOIN LATERAL (SELECT since + interval '1 microsecond' * CASE WHEN executions.token = held.token
            AND state = 'queued' AND resume IS NOT NULL THEN longest_call ELSE linger END AS ends) AS span
        WHERE ends > $5 AND (executions.token = held.token OR resume IS NULL)
        ON CONFLICT (endpoint, job, n, token) DO UPDATE SET until = greatest(abandoned.until, excluded.until)";
    if left.is_empty() {
        return Ok(());
    }
    let jobs: Vec<i64> = left.keys().map(|cell| cell.0).collect();
    let places: Vec<i32> = left.keys().map(|cell| cell.1).collect();
    let (tokens, times): (Vec<i64>, Vec<At>) = left.values().copied().unzip();
    let now = At::from(now);
    let values = [
        (&jobs as _, Type::INT8_ARRAY),
        (&places as _, Type::INT4_ARRAY),
        (&tokens as _, Type::INT8_ARRAY),
        (&times as _, Type::TIMESTAMPTZ_ARRAY),
        (&now as _, Type::TIMESTAMPTZ),
    ];
    tx.execute(ABANDON, &values).await.map(drop)
}

/// Nobody looks for the calls of this job any more: they count as long as any other.
pub(crate) async fn not_found_again(tx: &Tx, job: i64, now: Timestamp) -> Result<(), Fault> {
    const SHORTEN: &str = "-- abandoned::not_found_again
        UPDATE beacon.abandoned SET until = least(until, $2::timestamptz + linger * interval '1 microsecond')
        FROM beacon.endpoints WHERE job = $1 AND no = endpoint";
    let now = At::from(now);
    tx.execute(SHORTEN, &[(&job, Type::INT8), (&now, Type::TIMESTAMPTZ)]).await.map(drop)
}

/// Forgets the calls that have ended by now.
pub(crate) async fn forget(tx: &Tx, now: Timestamp) -> Result<(), Fault> {
    const FORGET: &str = "-- abandoned::forget
        DELETE FROM beacon.abandoned WHERE until <= $1";
    tx.execute(FORGET, &[(&At::from(now), Type::TIMESTAMPTZ)]).await.map(drop)
}

/// The calls that may still run at `now`, by endpoint.
pub(crate) async fn counted(tx: &Tx, now: Timestamp) -> Result<HashMap<i32, Abandoned>, Fault> {
    const COUNTED: &str = "-- abandoned::counted
        SELECT abandoned.endpoint, count(*), min(until) FILTER (WHERE waits.n IS NULL)
        FROM beacon.abandoned LEFT JOIN beacon.executions AS waits ON waits.job = abandoned.job AND waits.n = abandoned.n
            AND waits.token = abandoned.token AND waits.state = 'queued' AND waits.resume IS NOT NULL
        WHERE until > $1 GROUP BY abandoned.endpoint";
    let of_endpoint =
        |line: &Line| Ok((line.get(0)?, Abandoned { calls: big(line, 1)?, until: maybe_time(line, 2)? }));
    tx.rows(COUNTED, &[(&At::from(now), Type::TIMESTAMPTZ)]).await?.iter().map(of_endpoint).collect()
}

/// Executions of these endpoints whose calls still run there: whoever claims them takes no other slot.
pub(crate) async fn reattachable(tx: &Tx, places: &[i32], now: Timestamp) -> Result<Vec<Ready>, Fault> {
    const FIND: &str = "-- abandoned::reattachable
        SELECT executions.endpoint, executions.job, executions.n, batch, model, region, run, attempts, failures, throttles,
            executions.token, resume, queued_at, executions.started_at
        FROM beacon.abandoned JOIN beacon.executions USING (job, n, token) JOIN beacon.jobs ON no = executions.job
        WHERE abandoned.endpoint = ANY($1) AND until > $2 AND executions.state = 'queued' AND resume IS NOT NULL
            AND not_before <= $2
            AND reason IS NULL AND paused_at IS NULL AND (cost_cap IS NULL OR cost < cost_cap)
        ORDER BY executions.job, executions.n";
    let lines = tx.rows(FIND, &[(&places, Type::INT4_ARRAY), (&At::from(now), Type::TIMESTAMPTZ)]).await?;
    lines.iter().map(ready).collect()
}

/// Somebody waits for the calls of these executions again.
pub(crate) async fn reattached<'a>(tx: &Tx, chosen: impl Iterator<Item = &'a Ready>) -> Result<(), Fault> {
    const DELETE: &str = "-- abandoned::reattached
        DELETE FROM beacon.abandoned USING unnest($1::int8[], $2::int4[], $3::int8[]) AS held (job, n, token)
        WHERE abandoned.endpoint = ANY($4) AND abandoned.job = held.job AND abandoned.n = held.n AND abandoned.token = held.token";
    let resumed: Vec<&Ready> = chosen.filter(|ready| ready.resume.is_some()).collect();
    if resumed.is_empty() {
        return Ok(());
    }
    let endpoints: Vec<i32> = resumed.iter().map(|ready| ready.endpoint).collect();
    let cells = resumed.iter().map(|ready| ((ready.job, int(ready.n)), ready.token));
    let (jobs, places, tokens) = columns(&cells.collect());
    let values = [
        (&jobs as _, Type::INT8_ARRAY),
        (&places as _, Type::INT4_ARRAY),
        (&tokens as _, Type::INT8_ARRAY),
        (&endpoints as _, Type::INT4_ARRAY),
    ];
    tx.execute(DELETE, &values).await.map(drop)
}

/// See [`beacon_domain::EndpointControl::forget_abandoned`].
pub(crate) struct Forget {
    pub(crate) endpoint: i32,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Work for Forget {
    type Output = u32;
    const NAME: &'static str = "forget_abandoned";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<u32, Fault> {
        const FORGET: &str = "-- abandoned::forget_all
            DELETE FROM beacon.abandoned WHERE endpoint = $1 AND until > $2";
        let values = [(&self.endpoint as _, Type::INT4), (&At::from(self.now) as _, Type::TIMESTAMPTZ)];
        Ok(u32::try_from(tx.execute(FORGET, &values).await?).unwrap_or(u32::MAX))
    }
}
