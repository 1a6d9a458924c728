//! Results as an Apache Parquet file, written row group by row group: what is kept in memory is one group and the index.

use std::sync::Arc;

use beacon_domain::ExecutionRecord;
use beacon_spec::Timestamp;
use bytes::Bytes;
use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type},
    errors::Result,
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::{parser::parse_message_type, types::ColumnDescriptor},
};

/// The columns, in the order of [`columns`].
const SCHEMA: &str = "message execution {
    REQUIRED INT32 n;
    REQUIRED BYTE_ARRAY execution_id (UTF8);
    REQUIRED BYTE_ARRAY question_id (UTF8);
    REQUIRED BYTE_ARRAY model_id (UTF8);
    REQUIRED BYTE_ARRAY region (UTF8);
    REQUIRED INT32 run;
    OPTIONAL BYTE_ARRAY endpoint (UTF8);
    REQUIRED BYTE_ARRAY state (UTF8);
    REQUIRED INT32 attempts;
    OPTIONAL INT64 started_at (TIMESTAMP(MICROS,true));
    OPTIONAL INT64 finished_at (TIMESTAMP(MICROS,true));
    OPTIONAL INT64 duration_ms;
    OPTIONAL INT64 prompt_tokens;
    OPTIONAL INT64 output_tokens;
    OPTIONAL INT64 cost_micros;
    OPTIONAL BYTE_ARRAY error (UTF8);
    OPTIONAL BYTE_ARRAY error_message (UTF8);
    REQUIRED BYTE_ARRAY prompt (UTF8);
    OPTIONAL BYTE_ARRAY answer (UTF8);
}";
/// A row group is written at so many rows, or at so many bytes of text.
const ROWS: usize = 4_096;
const TEXT_BYTES: usize = 8 * 1024 * 1024;

/// A file in the making.
pub(crate) struct Table {
    writer: SerializedFileWriter<Vec<u8>>,
    rows: Vec<ExecutionRecord>,
    text_bytes: usize,
}

/// One column of a row group.
enum Column {
    Whole(Vec<Option<i32>>),
    Long(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
}

impl Table {
    /// An empty file.
    ///
    /// # Errors
    /// Never: the schema is a constant.
    pub(crate) fn new() -> Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        Ok(Self { writer, rows: Vec::new(), text_bytes: 0 })
    }

    /// Takes rows; gives what of the file is done.
    pub(crate) fn write(&mut self, records: &[ExecutionRecord]) -> Result<Bytes> {
        for record in records {
            let answer = record.answer.as_ref().map_or(0, |answer| answer.text.len());
            self.text_bytes += record.prompt.len() + answer;
            self.rows.push(record.clone());
            if self.rows.len() >= ROWS || self.text_bytes >= TEXT_BYTES {
                self.row_group()?;
            }
        }
        self.done()
    }

    /// The rest of the file.
    pub(crate) fn finish(&mut self) -> Result<Bytes> {
        if !self.rows.is_empty() {
            self.row_group()?;
        }
        self.writer.finish()?;
        self.done()
    }

    fn row_group(&mut self) -> Result<()> {
        let mut group = self.writer.next_row_group()?;
        for column in columns(&std::mem::take(&mut self.rows)) {
            let Some(mut writer) = group.next_column()? else { break };
            column.write(&mut writer)?;
            writer.close()?;
        }
        self.text_bytes = 0;
        group.close().map(|_| ())
    }

    fn done(&mut self) -> Result<Bytes> {
        self.writer.flush()?;
        // The writer knows its place in the file by what it wrote, not by what is still here.
        Ok(std::mem::take(self.writer.inner_mut()).into())
    }
}

impl Column {
    fn write(self, writer: &mut SerializedColumnWriter<'_>) -> Result<()> {
        match self {
            Self::Whole(values) => {
                let (values, levels) = split(values);
                let writer = writer.typed::<Int32Type>();
                let levels = is_optional(writer.get_descriptor()).then_some(levels.as_slice());
                writer.write_batch(&values, levels, None)?;
            }
            Self::Long(values) => {
                let (values, levels) = split(values);
                let writer = writer.typed::<Int64Type>();
                let levels = is_optional(writer.get_descriptor()).then_some(levels.as_slice());
                writer.write_batch(&values, levels, None)?;
            }
            Self::Text(values) => {
                let (values, levels) = split(values);
                let values: Vec<ByteArray> =
                    values.into_iter().map(|text| text.into_bytes().into()).collect();
                let writer = writer.typed::<ByteArrayType>();
                let levels = is_optional(writer.get_descriptor()).then_some(levels.as_slice());
                writer.write_batch(&values, levels, None)?;
            }
        }
        Ok(())
    }
}

fn is_optional(column: &ColumnDescriptor) -> bool {
    column.max_def_level() > 0
}

/// The values that are there, and for each row whether it has one.
fn split<T>(values: Vec<Option<T>>) -> (Vec<T>, Vec<i16>) {
    let levels = values.iter().map(|value| i16::from(value.is_some())).collect();
    (values.into_iter().flatten().collect(), levels)
}

/// The columns of these rows, in the order of [`SCHEMA`].
fn columns(rows: &[ExecutionRecord]) -> Vec<Column> {
    let whole = |of: fn(&ExecutionRecord) -> u32| {
        Column::Whole(rows.iter().map(|row| i32::try_from(of(row)).ok()).collect())
    };
    let long = |of: fn(&ExecutionRecord) -> Option<i64>| Column::Long(rows.iter().map(of).collect());
    let text = |of: fn(&ExecutionRecord) -> Option<String>| Column::Text(rows.iter().map(of).collect());
    vec![
        whole(|row| row.cell.n),
        text(|row| Some(format!("{}-{}", row.id.job, row.id.n))),
        text(|row| Some(row.cell.question.to_string())),
        text(|row| Some(row.cell.model.to_string())),
        text(|row| Some(row.cell.region.to_string())),
        whole(|row| row.cell.run),
        text(|row| row.cell.endpoint.as_ref().map(ToString::to_string)),
        text(|row| Some(row.cell.state.to_string())),
        whole(|row| row.cell.attempts),
        long(|row| row.cell.started_at.map(Timestamp::as_microsecond)),
        long(|row| row.attempts.last().map(|attempt| attempt.finished_at.as_microsecond())),
        long(|row| row.attempts.last().and_then(|attempt| attempt.duration.as_millis().try_into().ok())),
        long(|row| signed(row.answer.as_ref()?.usage.prompt_tokens)),
        long(|row| signed(row.answer.as_ref()?.usage.completion_tokens)),
        long(|row| signed(row.answer.as_ref()?.usage.cost_micros)),
        text(|row| row.error.as_ref().map(|error| error.code.to_string())),
        text(|row| row.error.as_ref().map(|error| error.message.clone())),
        text(|row| Some(row.prompt.clone())),
        text(|row| row.answer.as_ref().map(|answer| answer.text.clone())),
    ]
}

fn signed(number: Option<u64>) -> Option<i64> {
    number.and_then(|number| number.try_into().ok())
}
