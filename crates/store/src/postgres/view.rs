//! Reading jobs and their counts, and what a signed close needs. Each reads one state, in a transaction that ends soon.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{
    BatchState, BatchView, EndpointId, EndpointView, ExecutionId, JobFilter, JobId, JobSummary, Page,
    Progress, ReceiptLeaf, StateCounts, StoreError, Verdict,
};
use beacon_spec::{JobName, KeyId, ModelId, Question, Timestamp};
use tokio_postgres::types::Type;

use super::{
    abandoned,
    codec::{
        At, batching, big, counts, digest, duration, job_id, json, maybe_json, maybe_time, named, number,
        reason, region, sums,
    },
    error::Fault,
    operate::paused,
    transaction::{Kind, Line, Tx, Work},
};
use crate::rules::PAGE;

/// The number of a job.
pub(crate) async fn number_of(tx: &Tx, job: JobId) -> Result<Option<i64>, Fault> {
    const NO: &str = "-- view::number
        SELECT no FROM beacon.jobs WHERE id = $1";
    let id = job.as_bytes().as_slice();
    tx.maybe(NO, &[(&id, Type::BYTEA)]).await?.map(|line| line.get(0)).transpose()
}

/// See [`beacon_domain::JobView::job`].
pub(crate) struct One(pub(crate) JobId);

#[async_trait]
impl Work for One {
    type Output = Option<JobSummary>;
    const NAME: &'static str = "job";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Option<JobSummary>, Fault> {
        match number_of(tx, self.0).await? {
            Some(no) => Ok(summaries(tx, &[no]).await?.pop()),
            None => Ok(None),
        }
    }
}

/// Summaries of these jobs, newest first.
async fn summaries(tx: &Tx, numbers: &[i64]) -> Result<Vec<JobSummary>, Fault> {
    const SUMMARIES: &str = "-- view::summaries
        SELECT id, name, key, generation, retry_of, state, reason, verdict, batching, digest, accepted_at, started_at,
            ended_at, deadline, lower_bound, cost, cost_cap, close, paused_by, paused_at, sums.*
        FROM beacon.jobs CROSS JOIN LATERAL (
            SELECT coalesce(sum(blocked), 0)::int8, coalesce(sum(queued), 0)::int8, coalesce(sum(running), 0)::int8,
                coalesce(sum(completed), 0)::int8, coalesce(sum(failed), 0)::int8, coalesce(sum(cancelled), 0)::int8,
                coalesce(sum(timed_out), 0)::int8, coalesce(sum(unsupported), 0)::int8
            FROM beacon.batches WHERE job = no) AS sums
        WHERE no = ANY($1) ORDER BY no DESC";
    let lines = tx.rows(SUMMARIES, &[(&numbers, Type::INT8_ARRAY)]).await?;
    lines.iter().map(summary).collect()
}

fn summary(line: &Line) -> Result<JobSummary, Fault> {
    let retry_of: Option<&[u8]> = line.get(4)?;
    let retry_of = retry_of.map(<[u8; 16]>::try_from).transpose().map_err(|error| line.unreadable(error))?;
    let verdict: Option<&str> = line.get(7)?;
    let ended_at = maybe_time(line, 12)?;
    Ok(JobSummary {
        id: job_id(line, 0)?,
        name: JobName::new(line.get::<String>(1)?).map_err(|error| line.unreadable(error))?,
        key: KeyId::new(line.get::<String>(2)?).map_err(|error| line.unreadable(error))?,
        generation: number(line, 3)?,
        retry_of: retry_of.map(JobId::from_bytes),
        state: named(line, 5)?,
        reason: reason(line, 6)?,
        verdict: verdict.map(|verdict| if verdict == "met" { Verdict::Met } else { Verdict::NotMet }),
        batching: batching(line, 8)?,
        spec_digest: digest(line, 9)?,
        accepted_at: line.get::<At>(10)?.time(),
        started_at: maybe_time(line, 11)?,
        ended_at,
        deadline: line.get::<At>(13)?.time(),
        lower_bound: line.get::<Option<i64>>(14)?.map(duration),
        cost_micros: u64::try_from(line.get::<i64>(15)?).unwrap_or(0),
        cost_cap_micros: line.get::<Option<i64>>(16)?.map(|cap| u64::try_from(cap).unwrap_or(0)),
        close: maybe_json(line, 17)?,
        counts: sums(line, 20)?,
        paused: paused(line, 18)?.filter(|_| ended_at.is_none()),
    })
}

/// See [`beacon_domain::JobView::jobs`].
pub(crate) struct Jobs<'a>(pub(crate) &'a JobFilter);

#[async_trait]
impl Work for Jobs<'_> {
    type Output = Page<JobSummary>;
    const NAME: &'static str = "jobs";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Page<JobSummary>, Fault> {
        const NUMBERS: &str = "-- view::jobs
            SELECT no FROM beacon.jobs WHERE no < $1 AND ($2 IS NULL OR name = $2) AND ($3 IS NULL OR state = $3)
                AND ($5 IS NULL OR key = $5) ORDER BY no DESC LIMIT $4";
        let limit = if self.0.limit == 0 { PAGE } else { self.0.limit };
        let before = self.0.cursor.as_ref().and_then(|cursor| cursor.parse().ok()).unwrap_or(i64::MAX);
        let name = self.0.name.as_ref().map(JobName::as_str);
        let state = self.0.state.map(beacon_domain::JobState::as_str);
        let key = self.0.key.as_ref().map(KeyId::as_str);
        let one_more = i64::from(limit) + 1;
        let values = [
            (&before as _, Type::INT8),
            (&name as _, Type::TEXT),
            (&state as _, Type::TEXT),
            (&one_more as _, Type::INT8),
            (&key as _, Type::TEXT),
        ];
        let lines = tx.rows(NUMBERS, &values).await?;
        let mut numbers = lines.iter().map(|line| line.get(0)).collect::<Result<Vec<i64>, _>>()?;
        let more = numbers.len() > limit as usize;
        numbers.truncate(limit as usize);
        let next = if more { numbers.last().map(i64::to_string) } else { None };
        Ok(Page { items: summaries(tx, &numbers).await?, next })
    }
}

/// See [`beacon_domain::JobView::progress`].
pub(crate) struct ProgressOf {
    pub(crate) job: JobId,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Work for ProgressOf {
    type Output = Progress;
    const NAME: &'static str = "progress";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Progress, Fault> {
        let unknown = || StoreError::UnknownJob(self.job);
        let no = number_of(tx, self.job).await?.ok_or_else(unknown)?;
        let batches = batches(tx, no).await?;
        let job = summaries(tx, &[no]).await?.pop().ok_or_else(unknown)?;
        Ok(Progress { job, batches, endpoints: endpoints(tx, no, self.now).await? })
    }
}

/// See [`beacon_domain::Board::batches`].
pub(crate) struct BatchesOf(pub(crate) JobId);

#[async_trait]
impl Work for BatchesOf {
    type Output = Vec<BatchView>;
    const NAME: &'static str = "batches";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<BatchView>, Fault> {
        batches(tx, number_of(tx, self.0).await?.ok_or(StoreError::UnknownJob(self.0))?).await
    }
}

async fn batches(tx: &Tx, no: i64) -> Result<Vec<BatchView>, Fault> {
    const BATCHES: &str = "-- view::batches
        SELECT b, question, state, started_at, ended_at, blocked, queued, running, completed, failed, cancelled,
            timed_out, unsupported FROM beacon.batches JOIN beacon.questions USING (job, b) WHERE job = $1 ORDER BY b";
    let batch = |line: &Line| {
        let question: Question = json(line, 1)?;
        let state = match line.get(2)? {
            "done" => BatchState::Done,
            "open" => BatchState::Open,
            _ => BatchState::Blocked,
        };
        Ok(BatchView {
            question: question.id,
            text: question.text.to_string(),
            number: number(line, 0)? + 1,
            state,
            counts: counts(line, 5)?,
            started_at: maybe_time(line, 3)?,
            ended_at: maybe_time(line, 4)?,
        })
    };
    let lines = tx.rows(BATCHES, &[(&no, Type::INT8)]).await?;
    lines.iter().map(batch).collect()
}

async fn endpoints(tx: &Tx, no: i64, now: Timestamp) -> Result<Vec<EndpointView>, Fault> {
    const COUNTS: &str = "-- view::endpoints
        SELECT endpoints.id, model, region, state, n, gate, max_in_flight, bound,
            (SELECT count(*) FROM beacon.executions WHERE worker IS NOT NULL AND endpoint = endpoints.no), endpoints.no
        FROM (SELECT endpoint, model, region, state, count(*) AS n FROM beacon.executions
            WHERE job = $1 AND endpoint IS NOT NULL GROUP BY endpoint, model, region, state) AS counts
        JOIN beacon.endpoints ON endpoints.no = endpoint ORDER BY endpoints.id";
    const MODELS: &str = "-- view::models
        SELECT models FROM beacon.jobs WHERE no = $1";
    let models: Vec<ModelId> = json(&tx.one(MODELS, &[(&no, Type::INT8)]).await?, 0)?;
    let left = abandoned::counted(tx, now).await?;
    let mut views: Vec<EndpointView> = Vec::new();
    for line in &tx.rows(COUNTS, &[(&no, Type::INT8)]).await? {
        let endpoint = EndpointId::new(line.get::<String>(0)?);
        if views.last().is_none_or(|last| last.endpoint != endpoint) {
            let left = left.get(&line.get::<i32>(9)?).copied().unwrap_or_default();
            let model = usize::try_from(line.get::<i16>(1)?).ok().and_then(|model| models.get(model));
            views.push(EndpointView {
                endpoint,
                model: model.cloned().ok_or_else(|| line.unreadable("unknown model"))?,
                region: region(line, 2)?,
                counts: StateCounts::default(),
                gate: maybe_json(line, 5)?,
                limit: line.get::<Option<i32>>(6)?.map(|limit| u32::try_from(limit).unwrap_or(0)),
                bound: maybe_json(line, 7)?,
                in_flight: big(line, 8)? + left.calls,
                abandoned: left.calls,
                abandoned_until: left.until,
            });
        }
        let count = big(line, 4)?;
        if let Some(last) = views.last_mut() {
            *last.counts.of_mut(named(line, 3)?) += count;
        }
    }
    Ok(views)
}

/// See [`beacon_domain::JobStore::unclosed`].
pub(crate) struct Unclosed(pub(crate) u32);

#[async_trait]
impl Work for Unclosed {
    type Output = Vec<JobId>;
    const NAME: &'static str = "unclosed";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<JobId>, Fault> {
        const UNCLOSED: &str = "-- view::unclosed
            SELECT id FROM beacon.jobs WHERE ended_at IS NOT NULL AND close IS NULL ORDER BY no LIMIT $1";
        let lines = tx.rows(UNCLOSED, &[(&i64::from(self.0), Type::INT8)]).await?;
        lines.iter().map(|line| job_id(line, 0)).collect()
    }
}

/// See [`beacon_domain::JobStore::receipt_leaves`].
pub(crate) struct Leaves {
    pub(crate) job: JobId,
    pub(crate) after: Option<u32>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Work for Leaves {
    type Output = Vec<ReceiptLeaf>;
    const NAME: &'static str = "receipt_leaves";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<ReceiptLeaf>, Fault> {
        const LEAVES: &str = "-- view::leaves
            SELECT n, receipt_hash FROM beacon.results WHERE job = (SELECT no FROM beacon.jobs WHERE id = $1) AND n > $2
                AND receipt_hash IS NOT NULL ORDER BY n LIMIT $3";
        let (id, after) = (self.job.as_bytes().as_slice(), self.after.map_or(-1, super::codec::int));
        let limit = i64::from(self.limit);
        let values = [(&id as _, Type::BYTEA), (&after as _, Type::INT4), (&limit as _, Type::INT8)];
        let leaf = |line: &Line| {
            let execution = ExecutionId { job: self.job, n: number(line, 0)? };
            Ok(ReceiptLeaf { execution, hash: digest(line, 1)? })
        };
        tx.rows(LEAVES, &values).await?.iter().map(leaf).collect()
    }
}
