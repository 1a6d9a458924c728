//! Between rows and nouns.

use std::{str::FromStr, time::Duration};

use beacon_domain::{Batching, EndReason, JobId, StateCounts};
use beacon_spec::{Region, Sha256Digest, Timestamp};
use bytes::{BufMut, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use super::{
    error::Fault,
    transaction::{Line, Param, Tx},
};
use crate::frozen::Frozen;

/// A `timestamptz`, in microseconds since 1970 UTC. Finer times are cut, as in the other stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At(pub(crate) i64);

impl At {
    /// 1970: what never left the queue waits for no time.
    pub(crate) const EPOCH: Self = Self(0);
    /// What came back to the queue by an expired lease waits for no time either.
    pub(crate) const RETURNED: Self = Self(1);
    /// From 1970 to 2000, where PostgreSQL counts from.
    const OFFSET: i64 = 946_684_800_000_000;

    /// The time.
    pub(crate) fn time(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::MAX)
    }
}

impl From<Timestamp> for At {
    fn from(time: Timestamp) -> Self {
        Self(time.as_microsecond())
    }
}

impl ToSql for At {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_i64(self.0 - Self::OFFSET);
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for At {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?).saturating_add(Self::OFFSET)))
    }

    accepts!(TIMESTAMPTZ);
}

/// Reads what never changes about a job.
pub(crate) async fn load_frozen(tx: &Tx, job: i64) -> Result<Frozen, Fault> {
    const JOB: &str = "-- codec::frozen
        SELECT id, digest, deadline, provider_timeout, sampling, models FROM beacon.jobs WHERE no = $1";
    const QUESTIONS: &str = "-- codec::questions
        SELECT question FROM beacon.questions WHERE job = $1 ORDER BY b";
    let no: [Param<'_>; 1] = [(&job, Type::INT8)];
    let (line, questions) = futures::try_join!(tx.one(JOB, &no), tx.rows(QUESTIONS, &no))?;
    let questions = questions.iter().map(|line| json(line, 0)).collect::<Result<_, _>>()?;
    let id = job_id(&line, 0)?;
    Ok(Frozen {
        id,
        digest: digest(&line, 1)?,
        deadline: line.get::<At>(2)?.time(),
        provider_timeout: line.get::<Option<i64>>(3)?.map(duration),
        sampling: json(&line, 4)?,
        models: json(&line, 5)?,
        questions,
        trace_id: id.to_string().into(),
    })
}

/// Microseconds of a duration.
pub(crate) fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The duration of so many microseconds.
pub(crate) fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// A number of the plan for an `int` column; plans are far smaller.
pub(crate) fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// An `int` column of what cannot be negative.
pub(crate) fn number(line: &Line, column: usize) -> Result<u32, Fault> {
    Ok(u32::try_from(line.get::<i32>(column)?).unwrap_or(0))
}

/// A `bigint` column of what cannot be negative.
pub(crate) fn big(line: &Line, column: usize) -> Result<u32, Fault> {
    Ok(u32::try_from(line.get::<i64>(column)?).unwrap_or(0))
}

/// A time column that may be empty.
pub(crate) fn maybe_time(line: &Line, column: usize) -> Result<Option<Timestamp>, Fault> {
    Ok(line.get::<Option<At>>(column)?.map(At::time))
}

/// A job's id.
pub(crate) fn job_id(line: &Line, column: usize) -> Result<JobId, Fault> {
    let bytes = <[u8; 16]>::try_from(line.get::<&[u8]>(column)?);
    bytes.map(JobId::from_bytes).map_err(|error| line.unreadable(error))
}

/// A digest.
pub(crate) fn digest(line: &Line, column: usize) -> Result<Sha256Digest, Fault> {
    let bytes = <[u8; 32]>::try_from(line.get::<&[u8]>(column)?);
    bytes.map(Sha256Digest::from_bytes).map_err(|error| line.unreadable(error))
}

/// A digest that may be missing.
pub(crate) fn maybe_digest(line: &Line, column: usize) -> Result<Option<Sha256Digest>, Fault> {
    let is_there = line.get::<Option<&[u8]>>(column)?.is_some();
    is_there.then(|| digest(line, column)).transpose()
}

/// A JSON column.
pub(crate) fn json<T: DeserializeOwned>(line: &Line, column: usize) -> Result<T, Fault> {
    serde_json::from_str(line.get(column)?).map_err(|error| line.unreadable(error))
}

/// A JSON column that may be empty.
pub(crate) fn maybe_json<T: DeserializeOwned>(line: &Line, column: usize) -> Result<Option<T>, Fault> {
    let text: Option<&str> = line.get(column)?;
    text.map(serde_json::from_str).transpose().map_err(|error| line.unreadable(error))
}

/// JSON for a column.
pub(crate) fn text<T: Serialize + ?Sized>(value: &T) -> Result<String, Fault> {
    let unwritable = |error| Fault::Unreadable { statement: "codec::text", error: Box::new(error) };
    serde_json::to_string(value).map_err(unwritable)
}

/// JSON for a column that may be empty.
pub(crate) fn maybe_text<T: Serialize>(value: Option<&T>) -> Result<Option<String>, Fault> {
    value.map(text).transpose()
}

/// A column whose type has names.
pub(crate) fn named<T>(line: &Line, column: usize) -> Result<T, Fault>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    line.get::<&str>(column)?.parse().map_err(|error: T::Err| line.unreadable(error))
}

/// The reason column.
pub(crate) fn reason(line: &Line, column: usize) -> Result<Option<EndReason>, Fault> {
    let text: Option<&str> = line.get(column)?;
    let all = [EndReason::Cancel, EndReason::Budget, EndReason::Deadline];
    Ok(text.and_then(|text| all.into_iter().find(|reason| reason.as_str() == text)))
}

/// The region column: the place in `Region::ALL`, which only grows at its end.
pub(crate) fn region(line: &Line, column: usize) -> Result<Region, Fault> {
    let place = usize::try_from(line.get::<i16>(column)?).unwrap_or(usize::MAX);
    Region::ALL.get(place).copied().ok_or_else(|| line.unreadable("unknown region"))
}

/// The number of a region in its column.
pub(crate) fn region_no(region: Region) -> i16 {
    Region::ALL.iter().position(|known| *known == region).unwrap_or_default() as i16
}

/// The batching column.
pub(crate) fn batching(line: &Line, column: usize) -> Result<Batching, Fault> {
    Ok(if line.get::<&str>(column)? == "question" { Batching::Question } else { Batching::Endpoint })
}

/// The name of a batching in its column.
pub(crate) fn batching_name(batching: Batching) -> &'static str {
    match batching {
        Batching::Question => "question",
        Batching::Endpoint => "endpoint",
    }
}

/// Eight `int` columns, in the order of `ExecutionState::ALL`.
pub(crate) fn counts(line: &Line, first: usize) -> Result<StateCounts, Fault> {
    eight(|place| number(line, first + place))
}

/// Eight `bigint` columns, in the order of `ExecutionState::ALL`.
pub(crate) fn sums(line: &Line, first: usize) -> Result<StateCounts, Fault> {
    eight(|place| big(line, first + place))
}

fn eight(of: impl Fn(usize) -> Result<u32, Fault>) -> Result<StateCounts, Fault> {
    Ok(StateCounts {
        blocked: of(0)?,
        queued: of(1)?,
        running: of(2)?,
        completed: of(3)?,
        failed: of(4)?,
        cancelled: of(5)?,
        timed_out: of(6)?,
        unsupported: of(7)?,
    })
}
