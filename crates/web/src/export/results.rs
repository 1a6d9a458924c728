//! Results as JSON lines and as CSV.

use beacon_domain::ExecutionRecord;
use bytes::Bytes;

use super::Table;
use crate::shapes::Record;

/// One object per execution and line.
pub(crate) struct Lines;

/// RFC 4180, with one header line.
pub(crate) struct Csv {
    begun: bool,
}

const COLUMNS: [&str; 13] = [
    "n",
    "question_id",
    "model_id",
    "region",
    "run",
    "endpoint",
    "state",
    "attempts",
    "output_tokens",
    "duration_ms",
    "cost_micros",
    "error",
    "answer",
];

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
            writer.write_record(COLUMNS)?;
        }
        for record in &records {
            writer.write_record(row(record))?;
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

fn row(record: &ExecutionRecord) -> [String; COLUMNS.len()] {
    let cell = &record.cell;
    let usage = record.answer.as_ref().map(|answer| answer.usage);
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let last = record.attempts.last();
    [
        cell.n.to_string(),
        harmless(cell.question.as_str()),
        harmless(cell.model.as_str()),
        cell.region.to_string(),
        cell.run.to_string(),
        cell.endpoint.as_ref().map_or_else(String::new, |endpoint| harmless(endpoint.as_str())),
        cell.state.to_string(),
        cell.attempts.to_string(),
        number(usage.and_then(|usage| usage.completion_tokens)),
        last.map_or_else(String::new, |attempt| attempt.duration.as_millis().to_string()),
        number(usage.and_then(|usage| usage.cost_micros)),
        record.error.as_ref().map_or_else(String::new, |error| error.code.to_string()),
        record.answer.as_ref().map_or_else(String::new, |answer| harmless(&answer.text)),
    ]
}

/// A leading formula sign is defused, because spreadsheets would run it.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn an_answer_that_looks_like_a_formula_is_defused() {
        assert_eq!(harmless("=1+1"), "'=1+1");
        assert_eq!(harmless("1+1"), "1+1");
    }
}
