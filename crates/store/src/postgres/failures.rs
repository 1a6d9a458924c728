//! Reading why executions ended without an answer. Counted by the database, however many there are.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{CallError, EndpointId, ExecutionState, Failure, JobId, StoreError};
use tokio_postgres::types::Type;

use super::{
    codec::{maybe_json, named, reason},
    error::Fault,
    transaction::{Kind, Tx, Work},
    view::number_of,
};
use crate::rules::implied_error;

/// What kept an execution from its answer: its error, or, if only its time ran out, what its last attempt had met.
macro_rules! cause {
    () => {
        "LEFT JOIN beacon.results ON results.job = executions.job AND results.n = executions.n
        LEFT JOIN LATERAL (
            SELECT tried.record::json ->> 'error' AS error FROM beacon.every_attempt AS tried
            WHERE tried.job = executions.job AND tried.n = executions.n AND NOT tried.late
                AND tried.record::json #>> '{error,code}' <> 'deadline_passed'
            ORDER BY tried.number DESC, tried.token DESC LIMIT 1) AS met
            ON coalesce(results.error::json ->> 'code', 'deadline_passed') = 'deadline_passed'
        CROSS JOIN LATERAL (SELECT coalesce(met.error, results.error) AS error) AS cause"
    };
}

/// See [`beacon_domain::JobView::failures`].
pub(crate) struct FailuresOf(pub(crate) JobId);

#[async_trait]
impl Work for FailuresOf {
    type Output = Vec<Failure>;
    const NAME: &'static str = "failures";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<Failure>, Fault> {
        const GROUPS: &str = concat!(
            "-- failures::groups
            SELECT min(executions.n), executions.state, count(*), endpoint
            FROM beacon.executions ",
            cause!(),
            " WHERE executions.job = $1 AND executions.state IN ('failed', 'timed_out')
            GROUP BY endpoint, executions.state, coalesce(cause.error::json ->> 'code', 'deadline_passed')"
        );
        let no = number_of(tx, self.0).await?.ok_or(StoreError::UnknownJob(self.0))?;
        let mut failures = Vec::new();
        for group in &tx.rows(GROUPS, &[(&no as _, Type::INT8)]).await? {
            let (first, executions) = (group.get(0)?, group.get::<i64>(2)?);
            let state = named(group, 1)?;
            if let Some((endpoint, error)) = first_of(tx, no, first, state).await? {
                let executions = u32::try_from(executions).unwrap_or(u32::MAX);
                failures.push(Failure {
                    endpoint,
                    state,
                    code: error.code,
                    executions,
                    message: error.message,
                });
            }
        }
        Ok(crate::failures::sorted(failures))
    }
}

/// The endpoint and the error of one execution.
async fn first_of(
    tx: &Tx,
    job: i64,
    n: i32,
    state: ExecutionState,
) -> Result<Option<(Option<EndpointId>, CallError)>, Fault> {
    const FIRST: &str = concat!(
        "-- failures::first
        SELECT endpoints.id, cause.error, jobs.reason, jobs.ended_by
        FROM beacon.executions JOIN beacon.jobs ON jobs.no = executions.job
        LEFT JOIN beacon.endpoints ON endpoints.no = executions.endpoint ",
        cause!(),
        " WHERE executions.job = $1 AND executions.n = $2"
    );
    let line = tx.one(FIRST, &[(&job as _, Type::INT8), (&n as _, Type::INT4)]).await?;
    let endpoint = line.get::<Option<String>>(0)?.map(EndpointId::new);
    let (why, by) = (reason(&line, 2)?, line.get::<Option<String>>(3)?);
    let error = maybe_json(&line, 1)?.or_else(|| implied_error(state, why, by.as_deref()));
    Ok(error.map(|error| (endpoint, error)))
}
