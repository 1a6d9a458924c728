//! Reading in pages: cells that a filter wants, what is recent, and how endpoints stand.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::Range,
    time::Duration,
};

use beacon_domain::{
    AccountId, CellFilter, CellView, EndpointId, EndpointLatency, EndpointStatus, ExecutionId, ExecutionLine,
    JobId, Page, StoreError,
};
use beacon_spec::Timestamp;
use rusqlite::{Connection, params};

use super::{
    abandoned,
    codec::{load_frozen, maybe_json, region_no},
    view,
    writer::Fault,
};
use crate::{
    frozen::Frozen,
    rules::{PAGE, Window, recent_cursor},
};

/// See [`beacon_domain::Board::cells`].
pub(crate) fn cells(
    connection: &Connection,
    job: JobId,
    filter: &CellFilter,
) -> Result<Page<CellView>, Fault> {
    const CELLS: &str = "-- board::cells
        SELECT n, batch, model, region, run, endpoints.id, state, attempts, not_before, resume IS NOT NULL, started_at
        FROM executions LEFT JOIN endpoints ON no = endpoint
        WHERE job = ?1 AND n >= ?2 AND n < ?3 AND (?5 IS NULL OR model = ?5) AND (?6 IS NULL OR region = ?6)
            AND (?7 IS NULL OR endpoints.id = ?7) AND (?8 = '' OR instr(?8, '|' || state || '|') > 0)
        ORDER BY n LIMIT ?4";
    let no = view::number(connection, job)?.ok_or(StoreError::UnknownJob(job))?;
    let frozen = load_frozen(connection, no)?;
    let window = Window::new(filter, range(connection, no, &frozen, filter)?);
    let model = match &filter.model {
        None => None,
        Some(wanted) => match frozen.models.iter().position(|model| model == wanted) {
            Some(place) => Some(place as u32),
            None => return Ok(Page { items: Vec::new(), next: None }),
        },
    };
    let region = filter.region.map(region_no);
    let endpoint = filter.endpoint.as_ref().map(EndpointId::as_str);
    let states: String = filter.states.iter().map(|state| format!("|{state}|")).collect();
    let values = params![no, window.first, window.end, window.rows(), model, region, endpoint, states];
    let mut query = connection.prepare_cached(CELLS)?;
    let cells = query.query_map(values, |row| view::cell(row, 0, &frozen))?;
    Ok(window.page(cells.collect::<rusqlite::Result<_>>()?))
}

/// The places in the plan of a question's cells, or of all.
fn range(
    connection: &Connection,
    no: i64,
    frozen: &Frozen,
    filter: &CellFilter,
) -> Result<Range<u32>, Fault> {
    const RANGE: &str = "-- board::range
        SELECT first, first + blocked + queued + running + completed + failed + cancelled + timed_out + unsupported
        FROM batches WHERE job = ?1 AND b = ?2";
    let batch = match &filter.question {
        None => frozen.questions.len().checked_sub(1),
        Some(wanted) => frozen.questions.iter().position(|question| question.id == *wanted),
    };
    let Some(batch) = batch else { return Ok(0..0) };
    let mut query = connection.prepare_cached(RANGE)?;
    let (first, end) = query.query_row(params![no, batch as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(if filter.question.is_some() { first..end } else { 0..end })
}

/// See [`beacon_domain::Board::recent`].
pub(crate) fn recent(
    connection: &Connection,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<ExecutionLine>, Fault> {
    const RECENT: &str = "-- board::recent
        SELECT job, n, batch, model, region, run, endpoints.id, state, attempts, not_before, resume IS NOT NULL, started_at
        FROM executions LEFT JOIN endpoints ON no = endpoint WHERE (job, n) < (?1, ?2)
        ORDER BY job DESC, n DESC LIMIT ?3";
    let limit = if limit == 0 { PAGE } else { limit } as usize;
    let (job, n) = recent_cursor(cursor);
    let mut query = connection.prepare_cached(RECENT)?;
    let mut rows = query.query(params![job, n, limit as i64 + 1])?;
    let (mut jobs, mut items, mut seen, mut more) = (HashMap::new(), Vec::new(), None, false);
    while let Some(row) = rows.next()? {
        if items.len() == limit {
            more = true;
            break;
        }
        let no: i64 = row.get(0)?;
        let frozen = match jobs.entry(no) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(load_frozen(connection, no)?),
        };
        let cell = view::cell(row, 1, frozen)?;
        seen = Some(format!("{no}-{}", cell.n));
        items.push(ExecutionLine { id: ExecutionId { job: frozen.id, n: cell.n }, cell });
    }
    Ok(Page { items, next: seen.filter(|_| more) })
}

/// See [`beacon_domain::Board::endpoints`].
pub(crate) fn endpoints(connection: &Connection, now: Timestamp) -> Result<Vec<EndpointStatus>, Fault> {
    const STATUSES: &str = "-- board::endpoints
        SELECT id, account, gate, bound, max_in_flight,
            (SELECT count(*) FROM executions WHERE lease_until IS NOT NULL AND endpoint = endpoints.no), no,
            (SELECT count(*) FROM (SELECT 1 FROM executions WHERE state = 'queued' AND endpoint = endpoints.no LIMIT ?1))
        FROM endpoints ORDER BY id";
    let left = abandoned::counted(connection, now)?;
    let mut query = connection.prepare_cached(STATUSES)?;
    let statuses = query.query_map([EndpointStatus::MOST_WAITING], |row| {
        let left = left.get(&row.get::<_, i64>(6)?).copied().unwrap_or_default();
        Ok(EndpointStatus {
            endpoint: EndpointId::new(row.get::<_, String>(0)?),
            account: row.get::<_, Option<String>>(1)?.map(AccountId::new),
            gate: maybe_json(row, 2)?,
            bound: maybe_json(row, 3)?,
            limit: row.get(4)?,
            in_flight: row.get::<_, u32>(5)? + left.calls,
            abandoned: left.calls,
            abandoned_until: left.until,
            waiting: row.get(7)?,
        })
    })?;
    Ok(statuses.collect::<rusqlite::Result<_>>()?)
}

/// See [`beacon_domain::Board::latencies`].
pub(crate) fn latencies(connection: &Connection) -> Result<Vec<EndpointLatency>, Fault> {
    const NEWEST: &str = "-- board::latencies
        SELECT endpoints.id, newest.attempt ->> 'duration_s'
        FROM (SELECT job, n, attempt, answer IS NOT NULL AS answered FROM results ORDER BY job DESC, n DESC LIMIT ?1) AS newest
        JOIN executions ON executions.job = newest.job AND executions.n = newest.n
        JOIN endpoints ON endpoints.no = executions.endpoint WHERE answered AND newest.attempt IS NOT NULL";
    let mut query = connection.prepare_cached(NEWEST)?;
    let answers = query.query_map([EndpointLatency::MOST_LOOKED_AT], |row| {
        Ok((EndpointId::new(row.get::<_, String>(0)?), row.get::<_, Option<f64>>(1)?))
    })?;
    let answers = answers.collect::<rusqlite::Result<Vec<_>>>()?.into_iter();
    Ok(EndpointLatency::of(
        answers.filter_map(|(endpoint, took)| Some((endpoint, Duration::try_from_secs_f64(took?).ok()?))),
    ))
}
