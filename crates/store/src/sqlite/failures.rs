//! Reading why executions ended without an answer.

use beacon_domain::{AttemptRecord, EndpointId, ErrorCode, Failure, JobId, StoreError};
use rusqlite::{Connection, params};

use super::{
    codec::{json, maybe_json, reason, state},
    view,
    writer::Fault,
};
use crate::{
    failures::{Failures, cause},
    rules::implied_error,
};

/// See [`beacon_domain::JobView::failures`].
pub(crate) fn failures(connection: &Connection, job: JobId) -> Result<Vec<Failure>, Fault> {
    const FAILED: &str = "-- failures::failed
        SELECT executions.n, endpoints.id, executions.state, error, jobs.reason, jobs.ended_by
        FROM jobs JOIN executions ON executions.job = jobs.no LEFT JOIN endpoints ON endpoints.no = endpoint
            LEFT JOIN results ON results.job = jobs.no AND results.n = executions.n
        WHERE jobs.no = ?1 AND executions.state IN ('failed', 'timed_out') ORDER BY executions.n";
    const ATTEMPTS: &str = "-- failures::attempts
        SELECT record FROM every_attempt WHERE job = ?1 AND n = ?2 ORDER BY number DESC, token DESC";
    let no = view::number(connection, job)?.ok_or(StoreError::UnknownJob(job))?;
    let mut failures = Failures::default();
    let mut failed = connection.prepare_cached(FAILED)?;
    let mut attempts = connection.prepare_cached(ATTEMPTS)?;
    let mut rows = failed.query([no])?;
    while let Some(row) = rows.next()? {
        let state = state(row, 2)?;
        let by: Option<String> = row.get(5)?;
        let why = reason(row, 4)?;
        let error = maybe_json(row, 3)?.or_else(|| implied_error(state, why, by.as_deref()));
        let Some(mut error) = error else { continue };
        if error.code == ErrorCode::DeadlinePassed {
            let tried = attempts.query_map(params![no, row.get::<_, u32>(0)?], |row| json(row, 0))?;
            let tried = tried.collect::<rusqlite::Result<Vec<AttemptRecord>>>()?;
            error = cause(&error, tried.iter());
        }
        failures.add(row.get::<_, Option<String>>(1)?.map(EndpointId::new), state, error);
    }
    Ok(failures.by_frequency())
}
