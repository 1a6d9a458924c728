//! Between rows and nouns.

use std::{str::FromStr, time::Duration};

use beacon_domain::{Batching, EndReason, JobId, StateCounts};
use beacon_spec::{ModelId, Question, Region, Sha256Digest, Timestamp};
use rusqlite::{Connection, Row, types::Type};
use serde::{Serialize, de::DeserializeOwned};

use super::writer::Fault;
use crate::frozen::Frozen;

/// Reads what never changes about a job.
pub(crate) fn load_frozen(connection: &Connection, job: i64) -> Result<Frozen, Fault> {
    const JOB: &str = "-- codec::frozen
        SELECT id, digest, deadline, provider_timeout, sampling, models FROM jobs WHERE no = ?1";
    const QUESTIONS: &str = "-- codec::questions
        SELECT question FROM batches WHERE job = ?1 ORDER BY b";
    let mut questions = connection.prepare_cached(QUESTIONS)?;
    let questions = questions.query_map([job], |row| json(row, 0))?.collect::<Result<_, _>>()?;
    let frozen = connection.prepare_cached(JOB)?.query_row([job], |row| {
        let id = JobId::from_bytes(row.get(0)?);
        Ok(Frozen {
            id,
            digest: Sha256Digest::from_bytes(row.get(1)?),
            deadline: time(row, 2)?,
            provider_timeout: row.get::<_, Option<i64>>(3)?.map(duration),
            sampling: json(row, 4)?,
            models: json(row, 5)?,
            questions,
            trace_id: id.to_string().into(),
        })
    })?;
    Ok(frozen)
}

impl Frozen {
    /// The question of a batch, whose number is from this column.
    pub(crate) fn question(&self, batch: usize, column: usize) -> rusqlite::Result<&Question> {
        self.questions.get(batch).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, batch as i64))
    }

    /// The model that this column names by its place.
    pub(crate) fn model(&self, row: &Row<'_>, column: usize) -> rusqlite::Result<ModelId> {
        model(&self.models, row, column)
    }
}

/// The model that this column names by its place.
pub(crate) fn model(models: &[ModelId], row: &Row<'_>, column: usize) -> rusqlite::Result<ModelId> {
    let place: u32 = row.get(column)?;
    let model = models.get(place as usize).cloned();
    model.ok_or(rusqlite::Error::IntegralValueOutOfRange(column, i64::from(place)))
}

/// Microseconds since 1970 UTC.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// Microseconds of a duration.
pub(crate) fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The duration of so many microseconds.
pub(crate) fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// A time from microseconds.
pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

/// A time column.
pub(crate) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(at)
}

/// A time column that may be empty.
pub(crate) fn maybe_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(at))
}

/// A JSON column.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| broken(column, error))
}

/// A JSON column that may be empty.
pub(crate) fn maybe_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map(serde_json::from_str).transpose().map_err(|error| broken(column, error))
}

/// JSON for a column.
pub(crate) fn text<T: Serialize + ?Sized>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value)
        .map_err(|e| Fault::Database(rusqlite::Error::ToSqlConversionFailure(e.into())))
}

/// JSON for a column that may be empty.
pub(crate) fn maybe_text<T: Serialize>(value: Option<&T>) -> Result<Option<String>, Fault> {
    value.map(text).transpose()
}

/// A state column.
pub(crate) fn state<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|error| broken(column, error))
}

/// The reason column.
pub(crate) fn reason(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<EndReason>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    let all = [EndReason::Cancel, EndReason::Budget, EndReason::Deadline];
    Ok(text.and_then(|text| all.into_iter().find(|reason| reason.as_str() == text)))
}

/// The region column.
pub(crate) fn region(row: &Row<'_>, column: usize) -> rusqlite::Result<Region> {
    // The number is the place in `Region::ALL`, which only grows at its end.
    let place: usize = row.get::<_, u32>(column)? as usize;
    Region::ALL.get(place).copied().ok_or(rusqlite::Error::IntegralValueOutOfRange(column, place as i64))
}

/// The number of a region in its column.
pub(crate) fn region_no(region: Region) -> u32 {
    Region::ALL.iter().position(|known| *known == region).unwrap_or_default() as u32
}

/// The batching column.
pub(crate) fn batching(row: &Row<'_>, column: usize) -> rusqlite::Result<Batching> {
    Ok(if row.get::<_, i64>(column)? == 0 { Batching::Question } else { Batching::Endpoint })
}

/// Eight count columns, in the order of `ExecutionState::ALL`.
pub(crate) fn counts(row: &Row<'_>, first: usize) -> rusqlite::Result<StateCounts> {
    Ok(StateCounts {
        blocked: row.get(first)?,
        queued: row.get(first + 1)?,
        running: row.get(first + 2)?,
        completed: row.get(first + 3)?,
        failed: row.get(first + 4)?,
        cancelled: row.get(first + 5)?,
        timed_out: row.get(first + 6)?,
        unsupported: row.get(first + 7)?,
    })
}

fn broken(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
