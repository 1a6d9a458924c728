//! Reading in pages: cells that a filter wants, what is recent, and how endpoints stand.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    AccountId, CellFilter, CellView, EndpointId, EndpointLatency, EndpointStatus, ExecutionId, ExecutionLine,
    ExecutionState, JobId, Page, StoreError,
};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    abandoned,
    cells::cell,
    codec::{big, int, maybe_json, number, region_no},
    error::Fault,
    store::Core,
    transaction::{Kind, Line, Tx, Work},
    view::number_of,
};
use crate::{
    frozen::Frozen,
    rules::{PAGE, Window, recent_cursor},
};

/// See [`beacon_domain::Board::cells`].
pub(crate) struct Cells<'a> {
    pub(crate) core: &'a Core,
    pub(crate) job: JobId,
    pub(crate) filter: &'a CellFilter,
}

#[async_trait]
impl Work for Cells<'_> {
    type Output = Page<CellView>;
    const NAME: &'static str = "cells";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Page<CellView>, Fault> {
        const CELLS: &str = "-- board::cells
            SELECT n, batch, model, region, run, endpoints.id, state, attempts, not_before, resume IS NOT NULL, started_at
            FROM beacon.executions LEFT JOIN beacon.endpoints ON no = endpoint
            WHERE job = $1 AND n >= $2 AND n < $3 AND ($5 IS NULL OR model = $5) AND ($6 IS NULL OR region = $6)
                AND ($7 IS NULL OR endpoints.id = $7) AND ($8 IS NULL OR state = ANY($8))
            ORDER BY n LIMIT $4";
        let (job, filter) = (self.job, self.filter);
        let no = number_of(tx, job).await?.ok_or(StoreError::UnknownJob(job))?;
        let frozen = self.core.frozen(tx, no).await?;
        let window = Window::new(filter, range(tx, no, &frozen, filter).await?);
        let place = |wanted| frozen.models.iter().position(|model| model == wanted);
        let model = filter.model.as_ref().map(place);
        if model == Some(None) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let model = model.flatten().map(|place| place as i16);
        let region = filter.region.map(region_no);
        let endpoint = filter.endpoint.as_ref().map(EndpointId::as_str);
        let states: Vec<&str> = filter.states.iter().copied().map(ExecutionState::as_str).collect();
        let states = (!states.is_empty()).then_some(states);
        let (first, end, rows) = (int(window.first), int(window.end), i64::from(window.rows()));
        let values = [
            (&no as _, Type::INT8),
            (&first as _, Type::INT4),
            (&end as _, Type::INT4),
            (&rows as _, Type::INT8),
            (&model as _, Type::INT2),
            (&region as _, Type::INT2),
            (&endpoint as _, Type::TEXT),
            (&states as _, Type::TEXT_ARRAY),
        ];
        let lines = tx.rows(CELLS, &values).await?;
        let cells = lines.iter().map(|line| cell(line, 0, &frozen)).collect::<Result<_, _>>()?;
        Ok(window.page(cells))
    }
}

/// The places in the plan of a question's cells, or of all.
async fn range(tx: &Tx, no: i64, frozen: &Frozen, filter: &CellFilter) -> Result<Range<u32>, Fault> {
    const RANGE: &str = "-- board::range
        SELECT first, first + blocked + queued + running + completed + failed + cancelled + timed_out + unsupported
        FROM beacon.batches WHERE job = $1 AND b = $2";
    let batch = match &filter.question {
        None => frozen.questions.len().checked_sub(1),
        Some(wanted) => frozen.questions.iter().position(|question| question.id == *wanted),
    };
    let Some(batch) = batch else { return Ok(0..0) };
    let batch = int(u32::try_from(batch).unwrap_or(u32::MAX));
    let line = tx.one(RANGE, &[(&no, Type::INT8), (&batch, Type::INT4)]).await?;
    let (first, end) = (number(&line, 0)?, number(&line, 1)?);
    Ok(if filter.question.is_some() { first..end } else { 0..end })
}

/// See [`beacon_domain::Board::recent`].
pub(crate) struct Recent<'a> {
    pub(crate) core: &'a Core,
    pub(crate) cursor: Option<&'a str>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Work for Recent<'_> {
    type Output = Page<ExecutionLine>;
    const NAME: &'static str = "recent";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Page<ExecutionLine>, Fault> {
        const RECENT: &str = "-- board::recent
            SELECT job, n, batch, model, region, run, endpoints.id, state, attempts, not_before, resume IS NOT NULL,
                started_at
            FROM beacon.executions LEFT JOIN beacon.endpoints ON no = endpoint WHERE (job, n) < ($1, $2)
            ORDER BY job DESC, n DESC LIMIT $3";
        let limit = if self.limit == 0 { PAGE } else { self.limit };
        let ((job, n), rows) = (recent_cursor(self.cursor), i64::from(limit) + 1);
        let values = [(&job as _, Type::INT8), (&n as _, Type::INT4), (&rows as _, Type::INT8)];
        let mut lines = tx.rows(RECENT, &values).await?;
        let more = lines.len() > limit as usize;
        lines.truncate(limit as usize);
        let (mut items, mut seen) = (Vec::with_capacity(lines.len()), None);
        for line in &lines {
            let no: i64 = line.get(0)?;
            let frozen = self.core.frozen(tx, no).await?;
            let cell = cell(line, 1, &frozen)?;
            seen = Some(format!("{no}-{}", cell.n));
            items.push(ExecutionLine { id: ExecutionId { job: frozen.id, n: cell.n }, cell });
        }
        Ok(Page { items, next: seen.filter(|_| more) })
    }
}

/// See [`beacon_domain::Board::endpoints`].
pub(crate) struct Statuses(pub(crate) Timestamp);

#[async_trait]
impl Work for Statuses {
    type Output = Vec<EndpointStatus>;
    const NAME: &'static str = "endpoints";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<EndpointStatus>, Fault> {
        const STATUSES: &str = "-- board::endpoints
            SELECT id, account, gate, bound, max_in_flight,
                (SELECT count(*) FROM beacon.executions WHERE worker IS NOT NULL AND endpoint = endpoints.no), no,
                (SELECT count(*) FROM (SELECT 1 FROM beacon.executions
                    WHERE state = 'queued' AND endpoint = endpoints.no LIMIT $1) AS queued)
            FROM beacon.endpoints ORDER BY id";
        let most = i64::from(EndpointStatus::MOST_WAITING);
        let left = abandoned::counted(tx, self.0).await?;
        let status = |line: &Line| {
            let left = left.get(&line.get::<i32>(6)?).copied().unwrap_or_default();
            Ok(EndpointStatus {
                endpoint: EndpointId::new(line.get::<String>(0)?),
                account: line.get::<Option<String>>(1)?.map(AccountId::new),
                gate: maybe_json(line, 2)?,
                bound: maybe_json(line, 3)?,
                limit: line.get::<Option<i32>>(4)?.map(|limit| u32::try_from(limit).unwrap_or(0)),
                in_flight: big(line, 5)? + left.calls,
                abandoned: left.calls,
                abandoned_until: left.until,
                waiting: big(line, 7)?,
            })
        };
        tx.rows(STATUSES, &[(&most, Type::INT8)]).await?.iter().map(status).collect()
    }
}

/// See [`beacon_domain::Board::latencies`].
pub(crate) struct Latencies;

#[async_trait]
impl Work for Latencies {
    type Output = Vec<EndpointLatency>;
    const NAME: &'static str = "latencies";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<EndpointLatency>, Fault> {
        const NEWEST: &str = "-- board::latencies
            SELECT endpoints.id, (newest.attempt::json ->> 'duration_s')::float8
            FROM (SELECT job, n, attempt, answer IS NOT NULL AS answered FROM beacon.results
                ORDER BY job DESC, n DESC LIMIT $1) AS newest
            JOIN beacon.executions USING (job, n) JOIN beacon.endpoints ON no = endpoint
            WHERE answered AND newest.attempt IS NOT NULL";
        let answer = |line: &Line| {
            let took = Duration::try_from_secs_f64(line.get(1)?).map_err(|error| line.unreadable(error))?;
            Ok((EndpointId::new(line.get::<String>(0)?), took))
        };
        let most = i64::from(EndpointLatency::MOST_LOOKED_AT);
        let lines = tx.rows(NEWEST, &[(&most, Type::INT8)]).await?;
        Ok(EndpointLatency::of(lines.iter().map(answer).collect::<Result<Vec<_>, Fault>>()?))
    }
}
