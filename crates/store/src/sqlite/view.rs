//! Reading: pages of jobs, matrices, records, progress, and what a signed close needs.

use beacon_domain::{
    AttemptRecord, BatchState, BatchView, CellView, EndpointId, EndpointView, ExecutionId, ExecutionRecord,
    ExecutionState, JobFilter, JobId, JobSummary, Matrix, Page, Progress, ReceiptLeaf, StateCounts,
    StoreError, Verdict,
};
use beacon_spec::{JobName, KeyId, ModelId, Question, Sha256Digest, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    abandoned,
    codec::{
        at, batching, counts, duration, json, load_frozen, maybe_json, maybe_time, model, reason, region,
        state, time,
    },
    end::SUMS,
    operate::paused,
    writer::Fault,
};
use crate::{
    frozen::Frozen,
    rules::{PAGE, implied_error},
};

const CELLS: &str = "-- view::cells
    SELECT n, batch, model, region, run, endpoints.id, state, attempts, not_before, resume IS NOT NULL, started_at
    FROM executions LEFT JOIN endpoints ON no = endpoint WHERE job = ?1 AND n > ?2 ORDER BY n LIMIT ?3";

/// The number of a job.
pub(crate) fn number(connection: &Connection, job: JobId) -> Result<Option<i64>, Fault> {
    const NO: &str = "-- view::number
        SELECT no FROM jobs WHERE id = ?1";
    Ok(connection.prepare_cached(NO)?.query_row([job.as_bytes()], |row| row.get(0)).optional()?)
}

/// See [`beacon_domain::JobView::job`].
pub(crate) fn job(connection: &Connection, job: JobId) -> Result<Option<JobSummary>, Fault> {
    number(connection, job)?.map(|no| summary(connection, no)).transpose()
}

fn summary(connection: &Connection, no: i64) -> Result<JobSummary, Fault> {
    const SUMMARY: &str = "-- view::summary
        SELECT id, name, key, generation, retry_of, state, reason, verdict, batching, digest, accepted_at,
            started_at, ended_at, deadline, lower_bound, cost, cost_cap, close, paused_by, paused_at FROM jobs WHERE no = ?1";
    let counts = connection.prepare_cached(SUMS)?.query_row([no], |row| counts(row, 0)).optional()?;
    let mut query = connection.prepare_cached(SUMMARY)?;
    Ok(query.query_row([no], |row| summary_row(row, counts.unwrap_or_default()))?)
}

fn summary_row(row: &Row<'_>, counts: StateCounts) -> rusqlite::Result<JobSummary> {
    let name = |column, text: String| {
        JobName::new(text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
        })
    };
    let key = |column, text: String| {
        KeyId::new(text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
        })
    };
    let verdict = |met: i64| if met == 1 { Verdict::Met } else { Verdict::NotMet };
    let ended_at = maybe_time(row, 12)?;
    Ok(JobSummary {
        id: JobId::from_bytes(row.get(0)?),
        name: name(1, row.get(1)?)?,
        key: key(2, row.get(2)?)?,
        generation: row.get(3)?,
        retry_of: row.get::<_, Option<[u8; 16]>>(4)?.map(JobId::from_bytes),
        state: state(row, 5)?,
        reason: reason(row, 6)?,
        verdict: row.get::<_, Option<i64>>(7)?.map(verdict),
        paused: paused(row, 18)?.filter(|_| ended_at.is_none()),
        counts,
        batching: batching(row, 8)?,
        spec_digest: Sha256Digest::from_bytes(row.get(9)?),
        accepted_at: time(row, 10)?,
        started_at: maybe_time(row, 11)?,
        ended_at,
        deadline: time(row, 13)?,
        lower_bound: row.get::<_, Option<i64>>(14)?.map(duration),
        cost_micros: row.get::<_, i64>(15)? as u64,
        cost_cap_micros: row.get::<_, Option<i64>>(16)?.map(|cap| cap as u64),
        close: maybe_json(row, 17)?,
    })
}

/// See [`beacon_domain::JobView::jobs`].
pub(crate) fn jobs(connection: &Connection, filter: &JobFilter) -> Result<Page<JobSummary>, Fault> {
    const ALL: &str = "-- view::jobs
        SELECT no FROM jobs WHERE no < ?1 AND ?2 IS NULL AND (?3 IS NULL OR state = ?3) AND (?5 IS NULL OR key = ?5)
        ORDER BY no DESC LIMIT ?4";
    const NAMED: &str = "-- view::jobs_by_name
        SELECT no FROM jobs INDEXED BY jobs_by_name WHERE no < ?1 AND name = ?2 AND (?3 IS NULL OR state = ?3)
            AND (?5 IS NULL OR key = ?5) ORDER BY no DESC LIMIT ?4";
    let limit = if filter.limit == 0 { PAGE } else { filter.limit };
    let before = filter.cursor.as_ref().and_then(|cursor| cursor.parse().ok()).unwrap_or(i64::MAX);
    let name = filter.name.as_ref().map(JobName::as_str);
    let state = filter.state.map(beacon_domain::JobState::as_str);
    let key = filter.key.as_ref().map(KeyId::as_str);
    let mut query = connection.prepare_cached(if name.is_some() { NAMED } else { ALL })?;
    let values = params![before, name, state, i64::from(limit) + 1, key];
    let numbers = query.query_map(values, |row| row.get(0))?;
    let mut numbers = numbers.collect::<rusqlite::Result<Vec<i64>>>()?;
    let more = numbers.len() > limit as usize;
    numbers.truncate(limit as usize);
    let next = if more { numbers.last().map(i64::to_string) } else { None };
    let items = numbers.into_iter().map(|no| summary(connection, no)).collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

fn cells(
    connection: &Connection,
    no: i64,
    frozen: &Frozen,
    after: Option<u32>,
    limit: i64,
) -> Result<Vec<(CellView, usize)>, Fault> {
    let mut query = connection.prepare_cached(CELLS)?;
    let after = after.map_or(-1, i64::from);
    let cells = query.query_map(params![no, after, limit], |row| {
        Ok((cell(row, 0, frozen)?, row.get::<_, u32>(1)? as usize))
    })?;
    Ok(cells.collect::<rusqlite::Result<_>>()?)
}

/// A cell whose columns begin here, in the order of [`CELLS`].
pub(crate) fn cell(row: &Row<'_>, first: usize, frozen: &Frozen) -> rusqlite::Result<CellView> {
    let batch = row.get::<_, u32>(first + 1)? as usize;
    let state: ExecutionState = state(row, first + 6)?;
    let not_before: i64 = row.get(first + 8)?;
    Ok(CellView {
        n: row.get(first)?,
        question: frozen.question(batch, first + 1)?.id.clone(),
        model: frozen.model(row, first + 2)?,
        region: region(row, first + 3)?,
        run: row.get(first + 4)?,
        endpoint: row.get::<_, Option<String>>(first + 5)?.map(EndpointId::new),
        state,
        attempts: row.get(first + 7)?,
        started_at: maybe_time(row, first + 10)?,
        not_before: (state == ExecutionState::Queued && not_before > 0).then(|| at(not_before)),
        resumable: row.get(first + 9)?,
    })
}

/// See [`beacon_domain::JobView::matrix`].
pub(crate) fn matrix(connection: &Connection, job: JobId) -> Result<Matrix, Fault> {
    let no = number(connection, job)?.ok_or(StoreError::UnknownJob(job))?;
    let frozen = load_frozen(connection, no)?;
    let cells = cells(connection, no, &frozen, None, -1)?.into_iter().map(|(cell, _)| cell).collect();
    Ok(Matrix { job, cells })
}

/// See [`beacon_domain::JobView::records`].
pub(crate) fn records(
    connection: &Connection,
    job: JobId,
    after: Option<u32>,
    limit: u32,
) -> Result<Vec<ExecutionRecord>, Fault> {
    const ATTEMPTS: &str = "-- view::attempts
        SELECT record FROM every_attempt WHERE job = ?1 AND n = ?2 ORDER BY number, token";
    const RESULT: &str = "-- view::result
        SELECT answer, error, receipt FROM results WHERE job = ?1 AND n = ?2";
    const WHY: &str = "-- view::why
        SELECT reason, ended_by FROM jobs WHERE no = ?1";
    let Some(no) = number(connection, job)? else { return Ok(Vec::new()) };
    let frozen = load_frozen(connection, no)?;
    let mut why = connection.prepare_cached(WHY)?;
    let (why, by) = why.query_row([no], |row| Ok((reason(row, 0)?, row.get::<_, Option<String>>(1)?)))?;
    let mut records = Vec::new();
    for (cell, batch) in cells(connection, no, &frozen, after, i64::from(limit))? {
        let mut attempts = connection.prepare_cached(ATTEMPTS)?;
        let attempts = attempts.query_map(params![no, cell.n], |row| json::<AttemptRecord>(row, 0))?;
        let attempts = attempts.collect::<rusqlite::Result<_>>()?;
        let mut result = connection.prepare_cached(RESULT)?;
        let result = result.query_row(params![no, cell.n], |row| {
            Ok((maybe_json(row, 0)?, maybe_json(row, 1)?, maybe_json(row, 2)?))
        });
        let (answer, error, receipt) =
            result.optional()?.unwrap_or_else(|| (None, implied_error(cell.state, why, by.as_deref()), None));
        records.push(ExecutionRecord {
            id: ExecutionId { job, n: cell.n },
            prompt: frozen.question(batch, 1)?.text.to_string(),
            cell,
            attempts,
            answer,
            error,
            receipt,
        });
    }
    Ok(records)
}

/// See [`beacon_domain::JobView::progress`].
pub(crate) fn progress(connection: &Connection, job: JobId, now: Timestamp) -> Result<Progress, Fault> {
    let no = number(connection, job)?.ok_or(StoreError::UnknownJob(job))?;
    let (batches, endpoints) = (batches(connection, no)?, endpoints(connection, no, now)?);
    Ok(Progress { job: summary(connection, no)?, batches, endpoints })
}

/// See [`beacon_domain::Board::batches`].
pub(crate) fn batches_of(connection: &Connection, job: JobId) -> Result<Vec<BatchView>, Fault> {
    batches(connection, number(connection, job)?.ok_or(StoreError::UnknownJob(job))?)
}

fn batches(connection: &Connection, no: i64) -> Result<Vec<BatchView>, Fault> {
    const BATCHES: &str = "-- view::batches
        SELECT b, question, state, started_at, ended_at, blocked, queued, running, completed, failed, cancelled,
            timed_out, unsupported FROM batches WHERE job = ?1 ORDER BY b";
    let mut query = connection.prepare_cached(BATCHES)?;
    let batches = query.query_map([no], |row| {
        let question: Question = json(row, 1)?;
        let state = match row.get_ref(2)?.as_str()? {
            "done" => BatchState::Done,
            "open" => BatchState::Open,
            _ => BatchState::Blocked,
        };
        Ok(BatchView {
            question: question.id,
            text: question.text.to_string(),
            number: row.get::<_, u32>(0)? + 1,
            state,
            counts: counts(row, 5)?,
            started_at: maybe_time(row, 3)?,
            ended_at: maybe_time(row, 4)?,
        })
    })?;
    Ok(batches.collect::<rusqlite::Result<_>>()?)
}

fn endpoints(connection: &Connection, no: i64, now: Timestamp) -> Result<Vec<EndpointView>, Fault> {
    const COUNTS: &str = "-- view::endpoints
        SELECT endpoints.id, model, region, state, count(*), gate, max_in_flight, bound, (SELECT count(*) FROM executions AS every
            WHERE every.lease_until IS NOT NULL AND every.endpoint = executions.endpoint), endpoints.no
        FROM executions JOIN endpoints ON no = endpoint WHERE job = ?1
        GROUP BY endpoints.id, model, region, state ORDER BY endpoints.id";
    const MODELS: &str = "-- view::models
        SELECT models FROM jobs WHERE no = ?1";
    let mut query = connection.prepare_cached(MODELS)?;
    let models: Vec<ModelId> = query.query_row([no], |row| json(row, 0))?;
    let left = abandoned::counted(connection, now)?;
    let mut views: Vec<EndpointView> = Vec::new();
    let mut query = connection.prepare_cached(COUNTS)?;
    let mut rows = query.query([no])?;
    while let Some(row) = rows.next()? {
        let endpoint = EndpointId::new(row.get::<_, String>(0)?);
        if views.last().is_none_or(|last| last.endpoint != endpoint) {
            let left = left.get(&row.get::<_, i64>(9)?).copied().unwrap_or_default();
            views.push(EndpointView {
                endpoint,
                model: model(&models, row, 1)?,
                region: region(row, 2)?,
                counts: StateCounts::default(),
                gate: maybe_json(row, 5)?,
                limit: row.get(6)?,
                bound: maybe_json(row, 7)?,
                in_flight: row.get::<_, u32>(8)? + left.calls,
                abandoned: left.calls,
                abandoned_until: left.until,
            });
        }
        let count: u32 = row.get(4)?;
        if let Some(last) = views.last_mut() {
            *last.counts.of_mut(state(row, 3)?) += count;
        }
    }
    Ok(views)
}

/// See [`beacon_domain::JobStore::unclosed`].
pub(crate) fn unclosed(connection: &Connection, n: u32) -> Result<Vec<JobId>, Fault> {
    const UNCLOSED: &str = "-- view::unclosed
        SELECT id FROM jobs WHERE ended_at IS NOT NULL AND close IS NULL ORDER BY no LIMIT ?1";
    let mut query = connection.prepare_cached(UNCLOSED)?;
    let jobs = query.query_map([n], |row| Ok(JobId::from_bytes(row.get(0)?)))?;
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

/// See [`beacon_domain::JobStore::receipt_leaves`].
pub(crate) fn leaves(
    connection: &Connection,
    job: JobId,
    after: Option<u32>,
    limit: u32,
) -> Result<Vec<ReceiptLeaf>, Fault> {
    const LEAVES: &str = "-- view::leaves
        SELECT n, receipt_hash FROM results WHERE job = (SELECT no FROM jobs WHERE id = ?1) AND n > ?2
            AND receipt_hash IS NOT NULL ORDER BY n LIMIT ?3";
    let mut query = connection.prepare_cached(LEAVES)?;
    let after = after.map_or(-1, i64::from);
    let leaves = query.query_map(params![job.as_bytes(), after, limit], |row| {
        let hash = Sha256Digest::from_bytes(row.get(1)?);
        Ok(ReceiptLeaf { execution: ExecutionId { job, n: row.get(0)? }, hash })
    })?;
    Ok(leaves.collect::<rusqlite::Result<_>>()?)
}
