//! What is appended about executions: one result each, with the attempt that brought it, and every other attempt.

use beacon_domain::{Answer, CallError, Recording};
use beacon_spec::Receipt;
use tokio_postgres::types::Type;

use super::{
    codec::{int, maybe_text, text},
    error::Fault,
    record::{Cell, token},
    transaction::Tx,
};

/// What ended an execution.
#[derive(Debug, Default)]
pub(crate) struct Ended<'a> {
    pub(crate) answer: Option<&'a Answer>,
    pub(crate) error: Option<&'a CallError>,
    pub(crate) receipt: Option<&'a Receipt>,
    /// The attempt that did, if one did.
    pub(crate) by: Option<&'a Recording>,
}

/// Results to append, by columns.
#[derive(Debug, Default)]
pub(crate) struct Results {
    jobs: Vec<i64>,
    places: Vec<i32>,
    hashes: Vec<Option<Vec<u8>>>,
    answers: Vec<Option<String>>,
    errors: Vec<Option<String>>,
    receipts: Vec<Option<String>>,
    tokens: Vec<Option<i64>>,
    attempts: Vec<Option<String>>,
}

impl Results {
    /// One result.
    pub(crate) fn push(&mut self, cell: Cell, ended: &Ended<'_>) -> Result<(), Fault> {
        self.jobs.push(cell.0);
        self.places.push(cell.1);
        self.hashes.push(ended.receipt.map(|receipt| receipt.hash().as_bytes().to_vec()));
        self.answers.push(maybe_text(ended.answer)?);
        self.errors.push(maybe_text(ended.error)?);
        self.receipts.push(maybe_text(ended.receipt)?);
        self.tokens.push(ended.by.map(|recording| token(recording.lease)));
        self.attempts.push(maybe_text(ended.by.map(|recording| &recording.attempt))?);
        Ok(())
    }

    /// Appends them. A second result of an execution breaks the key.
    pub(crate) async fn write(&self, tx: &Tx) -> Result<(), Fault> {
        const WRITE: &str = "-- result::write
            INSERT INTO beacon.results (job, n, receipt_hash, answer, error, receipt, token, attempt)
            SELECT * FROM unnest($1::int8[], $2::int4[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::int8[], $8::text[])";
        if self.jobs.is_empty() {
            return Ok(());
        }
        let values = [
            (&self.jobs as _, Type::INT8_ARRAY),
            (&self.places as _, Type::INT4_ARRAY),
            (&self.hashes as _, Type::BYTEA_ARRAY),
            (&self.answers as _, Type::TEXT_ARRAY),
            (&self.errors as _, Type::TEXT_ARRAY),
            (&self.receipts as _, Type::TEXT_ARRAY),
            (&self.tokens as _, Type::INT8_ARRAY),
            (&self.attempts as _, Type::TEXT_ARRAY),
        ];
        tx.execute(WRITE, &values).await.map(drop)
    }
}

/// Attempts to append, by columns.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    jobs: Vec<i64>,
    places: Vec<i32>,
    numbers: Vec<i32>,
    tokens: Vec<i64>,
    late: Vec<bool>,
    records: Vec<String>,
}

impl Attempts {
    /// One attempt that ended nothing.
    pub(crate) fn push(&mut self, cell: Cell, recording: &Recording, late: bool) -> Result<(), Fault> {
        let mut attempt = recording.attempt.clone();
        attempt.late = late;
        self.jobs.push(cell.0);
        self.places.push(cell.1);
        self.numbers.push(int(attempt.number));
        self.tokens.push(token(recording.lease));
        self.late.push(late);
        self.records.push(text(&attempt)?);
        Ok(())
    }

    /// Appends them; what is there stays.
    pub(crate) async fn write(&self, tx: &Tx) -> Result<(), Fault> {
        const WRITE: &str = "-- result::attempts
            INSERT INTO beacon.attempts (job, n, number, token, late, record)
            SELECT * FROM unnest($1::int8[], $2::int4[], $3::int4[], $4::int8[], $5::bool[], $6::text[])
            ON CONFLICT DO NOTHING";
        if self.jobs.is_empty() {
            return Ok(());
        }
        let values = [
            (&self.jobs as _, Type::INT8_ARRAY),
            (&self.places as _, Type::INT4_ARRAY),
            (&self.numbers as _, Type::INT4_ARRAY),
            (&self.tokens as _, Type::INT8_ARRAY),
            (&self.late as _, Type::BOOL_ARRAY),
            (&self.records as _, Type::TEXT_ARRAY),
        ];
        tx.execute(WRITE, &values).await.map(drop)
    }
}
