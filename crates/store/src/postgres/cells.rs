//! Reading executions: the matrix of a job, and pages of records.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use beacon_domain::{
    AttemptRecord, CellView, EndpointId, ExecutionId, ExecutionRecord, ExecutionState, JobId, Matrix,
    StoreError,
};
use tokio_postgres::types::Type;

use super::{
    codec::{At, int, json, load_frozen, maybe_json, maybe_time, named, number, reason, region},
    error::Fault,
    transaction::{Kind, Line, Tx, Work},
    view::number_of,
};
use crate::{frozen::Frozen, rules::implied_error};

/// See [`beacon_domain::JobView::matrix`].
pub(crate) struct MatrixOf(pub(crate) JobId);

#[async_trait]
impl Work for MatrixOf {
    type Output = Matrix;
    const NAME: &'static str = "matrix";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Matrix, Fault> {
        let no = number_of(tx, self.0).await?.ok_or(StoreError::UnknownJob(self.0))?;
        let frozen = load_frozen(tx, no).await?;
        let cells = cells(tx, no, &frozen, None, None).await?.into_iter().map(|(cell, _)| cell).collect();
        Ok(Matrix { job: self.0, cells })
    }
}

async fn cells(
    tx: &Tx,
    no: i64,
    frozen: &Frozen,
    after: Option<u32>,
    limit: Option<u32>,
) -> Result<Vec<(CellView, usize)>, Fault> {
    const CELLS: &str = "-- cells::cells
        SELECT n, batch, model, region, run, endpoints.id, state, attempts, not_before, resume IS NOT NULL,
            started_at FROM beacon.executions LEFT JOIN beacon.endpoints ON no = endpoint WHERE job = $1 AND n > $2 ORDER BY n LIMIT $3";
    let (after, limit) = (after.map_or(-1, int), limit.map(i64::from));
    let values = [(&no as _, Type::INT8), (&after as _, Type::INT4), (&limit as _, Type::INT8)];
    let lines = tx.rows(CELLS, &values).await?;
    lines.iter().map(|line| Ok((cell(line, 0, frozen)?, number(line, 1)? as usize))).collect()
}

/// A cell whose columns begin here, in the order of `cells::cells`.
pub(crate) fn cell(line: &Line, first: usize, frozen: &Frozen) -> Result<CellView, Fault> {
    let question = frozen.questions.get(number(line, first + 1)? as usize);
    let model = usize::try_from(line.get::<i16>(first + 2)?).ok().and_then(|model| frozen.models.get(model));
    let state: ExecutionState = named(line, first + 6)?;
    let not_before: At = line.get(first + 8)?;
    Ok(CellView {
        n: number(line, first)?,
        question: question.ok_or_else(|| line.unreadable("unknown question"))?.id.clone(),
        model: model.cloned().ok_or_else(|| line.unreadable("unknown model"))?,
        region: region(line, first + 3)?,
        run: number(line, first + 4)?,
        endpoint: line.get::<Option<String>>(first + 5)?.map(EndpointId::new),
        state,
        attempts: number(line, first + 7)?,
        started_at: maybe_time(line, first + 10)?,
        not_before: (state == ExecutionState::Queued && not_before > At::RETURNED).then(|| not_before.time()),
        resumable: line.get(first + 9)?,
    })
}

/// See [`beacon_domain::JobView::records`].
pub(crate) struct Records {
    pub(crate) job: JobId,
    pub(crate) after: Option<u32>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Work for Records {
    type Output = Vec<ExecutionRecord>;
    const NAME: &'static str = "records";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<ExecutionRecord>, Fault> {
        const ATTEMPTS: &str = "-- cells::attempts
            SELECT n, record FROM beacon.every_attempt WHERE job = $1 AND n BETWEEN $2 AND $3 ORDER BY n, number, token";
        const RESULTS: &str = "-- cells::results
            SELECT n, answer, error, receipt FROM beacon.results WHERE job = $1 AND n BETWEEN $2 AND $3";
        const WHY: &str = "-- cells::why
            SELECT reason, ended_by FROM beacon.jobs WHERE no = $1";
        let Some(no) = number_of(tx, self.job).await? else { return Ok(Vec::new()) };
        let frozen = load_frozen(tx, no).await?;
        let cells = cells(tx, no, &frozen, self.after, Some(self.limit)).await?;
        let (Some((first, _)), Some((last, _))) = (cells.first(), cells.last()) else {
            return Ok(Vec::new());
        };
        let (first, last) = (int(first.n), int(last.n));
        let values = [(&no as _, Type::INT8), (&first as _, Type::INT4), (&last as _, Type::INT4)];
        let mut attempts: BTreeMap<u32, Vec<AttemptRecord>> = BTreeMap::new();
        for line in &tx.rows(ATTEMPTS, &values).await? {
            attempts.entry(number(line, 0)?).or_default().push(json(line, 1)?);
        }
        let mut results = BTreeMap::new();
        for line in &tx.rows(RESULTS, &values).await? {
            results
                .insert(number(line, 0)?, (maybe_json(line, 1)?, maybe_json(line, 2)?, maybe_json(line, 3)?));
        }
        let why = tx.one(WHY, &values[..1]).await?;
        let (why, by): (_, Option<String>) = (reason(&why, 0)?, why.get(1)?);
        let record = |(cell, batch): (CellView, usize)| {
            let result = results.remove(&cell.n);
            let (answer, error, receipt) =
                result.unwrap_or_else(|| (None, implied_error(cell.state, why, by.as_deref()), None));
            ExecutionRecord {
                id: ExecutionId { job: self.job, n: cell.n },
                prompt: frozen.questions[batch].text.to_string(),
                attempts: attempts.remove(&cell.n).unwrap_or_default(),
                cell,
                answer,
                error,
                receipt,
            }
        };
        Ok(cells.into_iter().map(record).collect())
    }
}
