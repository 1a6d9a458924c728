//! The API's routes, one method each.

use std::{io::Write, sync::Arc, time::Duration};

use beacon_domain::{Clock, JobId, JobState, Steered};
use beacon_spec::Close;
use bytes::Bytes;
use http::{HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use crate::{
    Cancelled, ClientError, ClientOptions, Deliveries, Executions, JobAnswer, Jobs, Matrix, Submitted,
    WaitingPage, Watch,
    shapes::Standing,
    transport::{Ask, Transport},
};

/// A client of one server. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) transport: Arc<Transport>,
    pub(crate) patience: Duration,
}

/// What to do with cells that no endpoint serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unserved {
    /// The submission is refused.
    Refuse,
    /// They are accepted as `unsupported`: for who may steer the job, by a token or by its key.
    Accept,
}

/// What is shown beside a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// Nothing: the cheapest.
    Nothing,
    /// The job's part of each endpoint. The server counts rows for it.
    Endpoints,
    /// That, and why executions failed.
    EndpointsAndFailures,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobsQuery {
    /// Only jobs with this signer's id.
    pub name: Option<String>,
    /// Only jobs in this state.
    pub state: Option<JobState>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// The most rows, 1 to 500.
    pub limit: Option<u32>,
}

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultsFormat {
    /// One object per line.
    Jsonl,
    /// RFC 4180, with a header line.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl ResultsFormat {
    const fn name_and_media(self) -> (&'static str, &'static str) {
        match self {
            Self::Jsonl => ("jsonl", LINES),
            Self::Csv => ("csv", "text/csv"),
            Self::Parquet => ("parquet", "application/vnd.apache.parquet"),
        }
    }
}

const LINES: &str = "application/x-ndjson";

/// The path of a job, or of something under it.
pub(crate) fn path_of(job: JobId, under: &str) -> String {
    format!("/api/v1/jobs/{job}{under}")
}

impl Client {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// The certificates cannot be read.
    pub fn new(options: ClientOptions, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let patience = options.patience;
        Ok(Self { transport: Arc::new(Transport::new(options, clock)?), patience })
    }

    /// Submits a signed job, exactly these bytes. The same bytes again change nothing, so a lost answer may be asked for
    /// again.
    ///
    /// # Errors
    /// The server refuses it, or cannot be asked. [`Unserved::Accept`] is for who may steer the job.
    pub async fn submit(
        &self,
        signed: impl Into<Bytes>,
        unserved: Unserved,
    ) -> Result<Submitted, ClientError> {
        let ask = match unserved {
            Unserved::Refuse => Ask::post("/api/v1/jobs", signed.into()),
            Unserved::Accept => Ask::steering("/api/v1/jobs?accept_unsupported=true", signed.into()),
        };
        let json = HeaderValue::from_static("application/json");
        self.transport.ask(ask.with(header::CONTENT_TYPE, json)).await?.json().await
    }

    /// A page of jobs, the newest first.
    ///
    /// # Errors
    /// The server refuses, or cannot be asked.
    pub async fn jobs(&self, query: &JobsQuery) -> Result<Jobs, ClientError> {
        let mut parts = Vec::new();
        let mut part = |name: &str, value: Option<&str>| {
            parts.extend(
                value.map(|value| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))),
            );
        };
        part("name", query.name.as_deref());
        part("state", query.state.map(JobState::as_str));
        part("cursor", query.cursor.as_deref());
        part("limit", query.limit.map(|limit| limit.to_string()).as_deref());
        let query = if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) };
        self.get(&format!("/api/v1/jobs{query}")).await
    }

    /// One job with its batches.
    ///
    /// # Errors
    /// There is none, or the server cannot be asked.
    pub async fn job(&self, job: JobId, include: Include) -> Result<JobAnswer, ClientError> {
        let query = match include {
            Include::Nothing => "",
            Include::Endpoints => "?include=endpoints",
            Include::EndpointsAndFailures => "?include=endpoints,failures",
        };
        self.get(&path_of(job, query)).await
    }

    /// A page of a job's executions, 500 at most.
    ///
    /// # Errors
    /// There is no such job, or the server cannot be asked.
    pub async fn executions(&self, job: JobId, cursor: Option<&str>) -> Result<Executions, ClientError> {
        self.get(&path_of(job, &format!("/executions{}", page(cursor)))).await
    }

    /// The whole grid.
    ///
    /// # Errors
    /// There is no such job, or the server cannot be asked.
    pub async fn matrix(&self, job: JobId) -> Result<Matrix, ClientError> {
        self.get(&path_of(job, "/matrix")).await
    }

    /// A page of what waits, and why.
    ///
    /// # Errors
    /// There is no such job, or the server cannot be asked.
    pub async fn explain(&self, job: JobId, cursor: Option<&str>) -> Result<WaitingPage, ClientError> {
        self.get(&path_of(job, &format!("/explain{}", page(cursor)))).await
    }

    /// A page of what was, or is to be, told of a job by webhooks.
    ///
    /// # Errors
    /// There is no such job, or the server cannot be asked.
    pub async fn deliveries(&self, job: JobId, cursor: Option<&str>) -> Result<Deliveries, ClientError> {
        self.get(&path_of(job, &format!("/deliveries{}", page(cursor)))).await
    }

    /// Writes every execution with its answer, as it comes; gives the number of bytes.
    ///
    /// # Errors
    /// There is no such job, the server cannot be asked, or the writer fails. What is written then is not all of it.
    pub async fn results(
        &self,
        job: JobId,
        format: ResultsFormat,
        writer: &mut (dyn Write + Send),
    ) -> Result<u64, ClientError> {
        let (name, media) = format.name_and_media();
        self.copy(&path_of(job, &format!("/results?format={name}")), media, writer).await
    }

    /// Writes every receipt, then the close, one per line, as `beacon verify` takes them; gives the number of bytes.
    ///
    /// # Errors
    /// As [`Client::results`].
    pub async fn receipts(&self, job: JobId, writer: &mut (dyn Write + Send)) -> Result<u64, ClientError> {
        self.copy(&path_of(job, "/receipts"), LINES, writer).await
    }

    /// The signed close of an ended job.
    ///
    /// # Errors
    /// `not_closed` before that; or the server cannot be asked.
    pub async fn close(&self, job: JobId) -> Result<Close, ClientError> {
        self.get(&path_of(job, "/close")).await
    }

    /// Ends a job.
    ///
    /// # Errors
    /// Neither the token nor the key allows it, or the server cannot be asked.
    pub async fn cancel(&self, job: JobId) -> Result<Cancelled, ClientError> {
        self.steer(&path_of(job, "/cancel")).await
    }

    /// Stops starting calls of a job.
    ///
    /// # Errors
    /// Neither the token nor the key allows it, or the server cannot be asked.
    pub async fn pause(&self, job: JobId) -> Result<Steered, ClientError> {
        self.steer::<Standing>(&path_of(job, "/pause")).await.map(Into::into)
    }

    /// Lets a paused job go on.
    ///
    /// # Errors
    /// Neither the token nor the key allows it, or the server cannot be asked.
    pub async fn resume(&self, job: JobId) -> Result<Steered, ClientError> {
        self.steer::<Standing>(&path_of(job, "/resume")).await.map(Into::into)
    }

    /// Watches a job until it ends.
    #[must_use]
    pub fn watch(&self, job: JobId) -> Watch {
        Watch::new(self.clone(), job)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.transport.ask(Ask::get(path)).await?.json().await
    }

    async fn steer<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.transport.ask(Ask::steering(path, Bytes::new())).await?.json().await
    }

    async fn copy(
        &self,
        path: &str,
        media: &str,
        writer: &mut (dyn Write + Send),
    ) -> Result<u64, ClientError> {
        let transport = &self.transport;
        let mut answer = transport.ask(Ask::get(path)).await?;
        answer.expect(media)?;
        let mut written = 0;
        loop {
            let until = transport.clock.monotonic() + transport.limit();
            let Some(piece) = answer.body.piece(until).await? else { break };
            writer.write_all(&piece).map_err(|error| transport.unwritable(error))?;
            written += piece.len() as u64;
        }
        writer.flush().map_err(|error| transport.unwritable(error))?;
        Ok(written)
    }
}

fn page(cursor: Option<&str>) -> String {
    let cursor = cursor.map(|cursor| format!("&cursor={}", utf8_percent_encode(cursor, NON_ALPHANUMERIC)));
    format!("?limit=500{}", cursor.unwrap_or_default())
}
