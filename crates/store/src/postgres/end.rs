//! How batches and jobs end: always in the transaction that ends their last execution (L5).

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    BatchDone, Batching, EndReason, JobEnded, JobId, JobState, StateCounts, StoreError, Verdict,
};
use beacon_spec::{Close, Question, Timestamp};
use tokio_postgres::types::Type;

use super::{
    codec::{At, batching, counts, job_id, json, maybe_time, named, number, reason, sums, text},
    counts::BatchKey,
    error::Fault,
    locks::lock_job_rows,
    store::Core,
    transaction::{Kind, Line, Tx, Work},
};
use crate::rules::Ended;

/// What the end of a job depends on.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) no: i64,
    pub(crate) id: JobId,
    pub(crate) state: JobState,
    pub(crate) reason: Option<EndReason>,
    pub(crate) batching: Batching,
}

/// A job by its number.
pub(crate) async fn head(tx: &Tx, job: i64) -> Result<Head, Fault> {
    const HEAD: &str = "-- end::head
        SELECT no, id, state, reason, batching FROM beacon.jobs WHERE no = $1";
    head_of(&tx.one(HEAD, &[(&job, Type::INT8)]).await?)
}

fn head_of(line: &Line) -> Result<Head, Fault> {
    Ok(Head {
        no: line.get(0)?,
        id: job_id(line, 1)?,
        state: named(line, 2)?,
        reason: reason(line, 3)?,
        batching: batching(line, 4)?,
    })
}

/// Batches have nothing open any more: ends them, opens what follows, and ends the jobs for which that was all.
pub(crate) async fn settle_batches(tx: &Tx, done: &[BatchKey], now: Timestamp) -> Result<Ended, Fault> {
    let mut ended = Ended::default();
    for batches in done.chunk_by(|one, next| one.0 == next.0) {
        let head = head(tx, batches[0].0).await?;
        if head.batching == Batching::Question {
            // It is the first one that is not done.
            let settled = settle(tx, &head, now).await?;
            ended.opened |= settled.opened;
            settled.report(&mut ended.batches, &mut ended.jobs);
            continue;
        }
        for (_, b) in batches {
            ended.batches.push(end_batch(tx, &head, *b, now).await?);
        }
        ended.jobs.extend(end_job_if_done(tx, &head, now).await?);
    }
    Ok(ended)
}

/// Opens what may be open now, and ends every batch that has nothing open, and the job if that was all.
pub(crate) async fn settle(tx: &Tx, head: &Head, now: Timestamp) -> Result<Ended, Fault> {
    const NEXT: &str = "-- end::next_batch
        SELECT b, state, blocked, queued + running FROM beacon.batches
        WHERE job = $1 AND state <> 'done' AND b > $2 ORDER BY b LIMIT 1";
    let mut ended = Ended::default();
    let mut last = -1_i32;
    while let Some(line) = tx.maybe(NEXT, &[(&head.no, Type::INT8), (&last, Type::INT4)]).await? {
        let b: i32 = line.get(0)?;
        let (blocked, open) = (number(&line, 2)?, number(&line, 3)?);
        if line.get::<&str>(1)? == "blocked" {
            open_batch(tx, head.no, b, now).await?;
            ended.opened = true;
        }
        if blocked + open == 0 {
            ended.batches.push(end_batch(tx, head, b, now).await?);
        } else if head.batching == Batching::Question {
            return Ok(ended);
        }
        last = b;
    }
    ended.jobs.extend(end_job_if_done(tx, head, now).await?);
    Ok(ended)
}

/// Ends a job if all its batches are done. The job's row is held from before the look: of two transactions that each
/// end one batch, the second sees both.
async fn end_job_if_done(tx: &Tx, head: &Head, now: Timestamp) -> Result<Option<JobEnded>, Fault> {
    const UNDONE: &str = "-- end::undone
        SELECT EXISTS (SELECT FROM beacon.batches WHERE job = $1 AND state <> 'done')";
    lock_job_rows(tx, &[head.no].into()).await?;
    let undone: bool = tx.one(UNDONE, &[(&head.no, Type::INT8)]).await?.get(0)?;
    if undone { Ok(None) } else { end_job(tx, head, now).await.map(Some) }
}

async fn open_batch(tx: &Tx, job: i64, b: i32, now: Timestamp) -> Result<(), Fault> {
    const ROWS: &str = "-- end::open_rows
        UPDATE beacon.executions SET state = 'queued', queued_at = $3 WHERE job = $1 AND batch = $2 AND state = 'blocked'
            AND n >= (SELECT first FROM beacon.batches WHERE job = $1 AND b = $2)
            AND n < coalesce((SELECT first FROM beacon.batches WHERE job = $1 AND b = $2 + 1), 2147483647)";
    const BATCH: &str = "-- end::open_batch
        UPDATE beacon.batches SET state = 'open', queued = queued + blocked, blocked = 0 WHERE job = $1 AND b = $2";
    let (job, b, now) = ((&job as _, Type::INT8), (&b as _, Type::INT4), At::from(now));
    tx.execute(ROWS, &[job.clone(), b.clone(), (&now, Type::TIMESTAMPTZ)]).await?;
    tx.execute(BATCH, &[job, b]).await?;
    Ok(())
}

/// Marks a batch done that has nothing open.
async fn end_batch(tx: &Tx, head: &Head, b: i32, now: Timestamp) -> Result<BatchDone, Fault> {
    const DONE: &str = "-- end::batch_done
        UPDATE beacon.batches SET state = 'done', ended_at = $3 WHERE job = $1 AND b = $2
        RETURNING (SELECT question FROM beacon.questions WHERE questions.job = $1 AND questions.b = $2), started_at,
            blocked, queued, running, completed, failed, cancelled, timed_out, unsupported,
            (SELECT batch_count FROM beacon.jobs WHERE no = $1)";
    let at = At::from(now);
    let line = tx.one(DONE, &[(&head.no, Type::INT8), (&b, Type::INT4), (&at, Type::TIMESTAMPTZ)]).await?;
    let started = maybe_time(&line, 1)?;
    let duration = started.and_then(|started| Duration::try_from(now.duration_since(started)).ok());
    Ok(BatchDone {
        job: head.id,
        question: json::<Question>(&line, 0)?.id,
        number: u32::try_from(b).unwrap_or_default() + 1,
        total: number(&line, 10)?,
        counts: counts(&line, 2)?,
        duration: duration.unwrap_or_default(),
    })
}

async fn end_job(tx: &Tx, head: &Head, now: Timestamp) -> Result<JobEnded, Fault> {
    const MINIMA: &str = "-- end::minima
        SELECT min_success_rate, min_regions, reason,
            (SELECT count(DISTINCT region) FROM beacon.executions WHERE job = $1 AND state = 'completed')
        FROM beacon.jobs WHERE no = $1";
    const END: &str = "-- end::job
        UPDATE beacon.jobs SET state = $2, verdict = $3, ended_at = greatest($4, started_at, accepted_at) WHERE no = $1";
    let counts = job_counts(tx, head.no).await?;
    let line = tx.one(MINIMA, &[(&head.no, Type::INT8)]).await?;
    let (reason, answered) = (reason(&line, 2)?, u32::try_from(line.get::<i64>(3)?).unwrap_or_default());
    let state = JobState::at_end(&counts, reason);
    let verdict = match Verdict::of(&counts, answered, line.get(0)?, number(&line, 1)?) {
        Verdict::Met => "met",
        Verdict::NotMet => "not_met",
    };
    let (name, now) = (state.as_str(), At::from(now));
    let values = [
        (&head.no as _, Type::INT8),
        (&name as _, Type::TEXT),
        (&verdict as _, Type::TEXT),
        (&now as _, Type::TIMESTAMPTZ),
    ];
    tx.execute(END, &values).await?;
    Ok(JobEnded { job: head.id, state, counts, reason })
}

/// A job's executions by state, over its batches.
pub(crate) async fn job_counts(tx: &Tx, job: i64) -> Result<StateCounts, Fault> {
    const SUMS: &str = "-- end::sums
        SELECT coalesce(sum(blocked), 0)::int8, coalesce(sum(queued), 0)::int8, coalesce(sum(running), 0)::int8,
            coalesce(sum(completed), 0)::int8, coalesce(sum(failed), 0)::int8, coalesce(sum(cancelled), 0)::int8,
            coalesce(sum(timed_out), 0)::int8, coalesce(sum(unsupported), 0)::int8
        FROM beacon.batches WHERE job = $1";
    sums(&tx.one(SUMS, &[(&job, Type::INT8)]).await?, 0)
}

/// See [`beacon_domain::JobStore::close`].
pub(crate) struct CloseJob<'a> {
    pub(crate) core: &'a Core,
    pub(crate) job: JobId,
    pub(crate) close: &'a Close,
}

#[async_trait]
impl Work for CloseJob<'_> {
    type Output = ();
    const NAME: &'static str = "close";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        const CLOSE: &str = "-- end::close
            UPDATE beacon.jobs SET close = $2 WHERE no = $1 AND close IS NULL AND ended_at IS NOT NULL";
        let numbers = self.core.job_numbers(tx, [self.job]).await?;
        let no = numbers.get(&self.job).ok_or(StoreError::UnknownJob(self.job))?;
        tx.execute(CLOSE, &[(no, Type::INT8), (&text(self.close)?, Type::TEXT)]).await?;
        Ok(())
    }
}
