//! Loading by binary COPY (PostgreSQL manual, COPY, "Binary Format"): rows are streamed in pieces, so that memory does not
//! grow with the job.

use std::pin::Pin;

use beacon_domain::{Acceptance, Batching, EndpointId};
use beacon_spec::ModelId;
use bytes::{BufMut, Bytes, BytesMut};
use futures::SinkExt as _;
use tokio_postgres::CopyInSink;

use super::{
    codec::{At, region_no},
    error::Fault,
    transaction::{Tx, name},
};

/// Sent at once.
const PIECE: usize = 256 * 1024;
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Where microseconds since 1970 and since 2000 differ.
const SINCE_2000: i64 = 946_684_800_000_000;

/// Rows on their way to a table.
struct Loader {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    buffer: BytesMut,
    statement: &'static str,
}

impl Loader {
    /// Begins a COPY.
    async fn start(tx: &Tx, sql: &'static str) -> Result<Self, Fault> {
        let sink = Box::pin(tx.copy_in(sql).await?);
        // It grows with the job: most are far smaller than a piece.
        let mut buffer = BytesMut::with_capacity(8 * 1024);
        buffer.put_slice(SIGNATURE);
        // No flags, no extension.
        buffer.put_i64(0);
        Ok(Self { sink, buffer, statement: name(sql) })
    }

    /// Begins a row of so many columns.
    fn row(&mut self, columns: i16) -> &mut Self {
        self.buffer.put_i16(columns);
        self
    }

    /// A `bigint`.
    fn int8(&mut self, value: i64) -> &mut Self {
        self.buffer.put_i32(8);
        self.buffer.put_i64(value);
        self
    }

    /// An `int`.
    fn int4(&mut self, value: i32) -> &mut Self {
        self.buffer.put_i32(4);
        self.buffer.put_i32(value);
        self
    }

    /// A `smallint`.
    fn int2(&mut self, value: i16) -> &mut Self {
        self.buffer.put_i32(2);
        self.buffer.put_i16(value);
        self
    }

    /// A `text`.
    fn text(&mut self, value: &str) -> &mut Self {
        self.buffer.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
        self.buffer.put_slice(value.as_bytes());
        self
    }

    /// A `timestamptz`, or NULL.
    fn time(&mut self, value: Option<At>) -> &mut Self {
        match value {
            Some(at) => self.int8(at.0 - SINCE_2000),
            None => self.null(),
        }
    }

    /// NULL.
    fn null(&mut self) -> &mut Self {
        self.buffer.put_i32(-1);
        self
    }

    /// Sends what has gathered, if it is enough.
    async fn send_if_full(&mut self) -> Result<(), Fault> {
        if self.buffer.len() < PIECE {
            return Ok(());
        }
        self.send().await
    }

    async fn send(&mut self) -> Result<(), Fault> {
        let piece = self.buffer.split().freeze();
        let sent = self.sink.send(piece).await;
        sent.map_err(|error| Fault::Database { statement: self.statement, error })
    }

    /// Ends the COPY; the rows are there.
    async fn finish(mut self) -> Result<(), Fault> {
        self.buffer.put_i16(-1);
        self.send().await?;
        let finished = self.sink.as_mut().finish().await;
        finished.map(drop).map_err(|error| Fault::Database { statement: self.statement, error })
    }
}

/// Loads every execution of a plan, with its models and endpoints and their numbers; of those whose batches follow each other
/// the batch `opens_first` may be claimed at once.
pub(crate) async fn load_executions(
    tx: &Tx,
    job: i64,
    acceptance: &Acceptance,
    (models, endpoints): (&[&ModelId], &[(&EndpointId, i32)]),
    opens_first: Option<u32>,
) -> Result<(), Fault> {
    const COPY: &str = "-- load::executions
        COPY beacon.executions (job, n, batch, model, region, run, endpoint, state, queued_at) FROM STDIN (FORMAT binary)";
    let endpoints: std::collections::HashMap<_, _> = endpoints.iter().copied().collect();
    let models: std::collections::HashMap<_, _> = models.iter().zip(0_i16..).collect();
    let now = At::from(acceptance.now);
    let mut loader = Loader::start(tx, COPY).await?;
    for (execution, n) in acceptance.plan.executions.iter().zip(0_i32..) {
        let endpoint = execution.endpoint.as_ref().and_then(|endpoint| endpoints.get(endpoint));
        let opens = acceptance.plan.batching == Batching::Endpoint || opens_first == Some(execution.batch);
        let (state, queued_at) = match endpoint {
            None => ("unsupported", None),
            Some(_) if opens => ("queued", Some(now)),
            Some(_) => ("blocked", None),
        };
        let model = models.get(&&execution.model).copied().unwrap_or_default();
        loader.row(9).int8(job).int4(n).int4(execution.batch as i32).int2(model);
        loader.int2(region_no(execution.region)).int4(execution.run as i32);
        match endpoint {
            Some(endpoint) => loader.int4(*endpoint),
            None => loader.null(),
        };
        loader.text(state).time(queued_at);
        loader.send_if_full().await?;
    }
    loader.finish().await
}
