//! Results as JSON lines and as CSV.

use beacon_domain::{ExecutionRecord, RESULT_COLUMNS, result_row};
use bytes::Bytes;

use super::Table;
use crate::shapes::Record;

/// One object per execution and line.
pub(crate) struct Lines;

/// RFC 4180, with one header line.
pub(crate) struct Csv {
    begun: bool,
}

/// What writes records one after the other.
pub(crate) trait Sink: Send {
    /// What these records come to; the sink may keep some back.
    fn records(&mut self, records: Vec<ExecutionRecord>) -> Result<Bytes, axum::BoxError>;

    /// What was kept back, and the end.
    fn end(&mut self) -> Result<Bytes, axum::BoxError>;
}

impl Sink for Lines {
    fn records(&mut self, records: Vec<ExecutionRecord>) -> Result<Bytes, axum::BoxError> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, &Record::from(record))?;
            lines.push(b'\n');
        }
        Ok(lines.into())
    }

    fn end(&mut self) -> Result<Bytes, axum::BoxError> {
        Ok(Bytes::new())
    }
}

impl Csv {
    pub(crate) const fn new() -> Self {
        Self { begun: false }
    }
}

impl Sink for Csv {
    fn records(&mut self, records: Vec<ExecutionRecord>) -> Result<Bytes, axum::BoxError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        if !std::mem::replace(&mut self.begun, true) {
            writer.write_record(RESULT_COLUMNS)?;
        }
        for record in &records {
            writer.write_record(result_row(record))?;
        }
        Ok(writer.into_inner().map_err(|error| error.into_error())?.into())
    }

    fn end(&mut self) -> Result<Bytes, axum::BoxError> {
        // A job always has executions, but a header alone is a table too.
        if self.begun { Ok(Bytes::new()) } else { self.records(Vec::new()) }
    }
}

impl Sink for Table {
    fn records(&mut self, records: Vec<ExecutionRecord>) -> Result<Bytes, axum::BoxError> {
        Ok(self.write(&records)?)
    }

    fn end(&mut self) -> Result<Bytes, axum::BoxError> {
        Ok(self.finish()?)
    }
}
