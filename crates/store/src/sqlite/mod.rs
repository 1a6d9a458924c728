//! The store in one SQLite file: one thread writes in groups, one reads beside it.

mod abandoned;
mod accept;
mod access;
mod answers;
mod board;
mod claim;
mod codec;
mod delivery;
mod end;
mod failures;
mod lease;
mod open;
mod operate;
mod quota;
mod record;
mod room;
mod view;
mod writer;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    Acceptance, Accepted, BatchView, Board, CancelReason, Cancelled, CellFilter, CellView, Claim, Claimed,
    EndpointLatency, EndpointStatus, ExecutionLine, ExecutionRecord, Failure, JobFilter, JobId, JobStore,
    JobSummary, JobView, LeaseKey, Matrix, NonceUse, Page, Parting, Progress, Reaped, ReceiptLeaf,
    RecordReport, Recording, Renewed, ResumeToken, StoreError, Wakeups, WorkQueue,
};
use beacon_spec::{Close, Timestamp};

pub use open::OpenMode;
use writer::{Durability, Threads};

/// Jobs in one SQLite file. Clones are not needed: share it as `Arc`.
#[derive(Debug)]
pub struct SqliteStore {
    threads: Threads,
    wakeups: Arc<Wakeups>,
}

impl SqliteStore {
    /// Opens the file. To run jobs it is made if it is missing, and its schema is brought up to date; otherwise
    /// nothing is changed. A SQLite file of another program is left alone.
    ///
    /// # Errors
    /// [`StoreError::Occupied`] if another runner has it; [`StoreError::Unavailable`] says what is wrong with it.
    pub fn open(path: impl AsRef<Path>, mode: OpenMode) -> Result<Self, StoreError> {
        // One file has one lock, whatever link leads to it.
        let resolved = path.as_ref().canonicalize();
        let path = resolved.as_deref().unwrap_or(path.as_ref());
        open::check_ours(path, mode)?;
        let lock = match mode {
            OpenMode::Run => Some(open::lock(path)?),
            OpenMode::Shared => None,
        };
        let writer = open::writer(path, mode)?;
        if mode == OpenMode::Run {
            open::orphan_leases(path, &writer)?;
        }
        let reader = open::reader(path)?;
        Self::start(path, writer, reader, lock)
    }

    fn start(
        path: &Path,
        writer: rusqlite::Connection,
        reader: rusqlite::Connection,
        lock: Option<std::fs::File>,
    ) -> Result<Self, StoreError> {
        let wakeups = Arc::new(Wakeups::new());
        let threads = Threads::start(path, writer, reader, wakeups.clone(), lock);
        let threads = threads.map_err(|error| StoreError::Unavailable {
            message: "cannot start a thread; raise the limit of processes".to_owned(),
            source: Some(Box::new(error)),
        })?;
        Ok(Self { threads, wakeups })
    }

    /// Hints that looking again may pay.
    #[must_use]
    pub fn wakeups(&self) -> Arc<Wakeups> {
        self.wakeups.clone()
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, StoreError> {
        self.threads.write(Durability::Disk, move |writer| writer.accept(&acceptance)).await
    }

    async fn nonce_use(&self, public_key: [u8; 32], nonce: String) -> Result<Option<NonceUse>, StoreError> {
        self.threads.read(move |connection| accept::nonce_use(connection, &public_key, &nonce)).await
    }

    async fn cancel(
        &self,
        job: JobId,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<Cancelled, StoreError> {
        self.threads
            .write(Durability::Disk, move |writer| {
                writer.cancel(job, &reason, now).map(|(cancelled, _)| cancelled)
            })
            .await
    }

    async fn unclosed(&self, n: u32) -> Result<Vec<JobId>, StoreError> {
        self.threads.read(move |connection| view::unclosed(connection, n)).await
    }

    async fn receipt_leaves(
        &self,
        job: JobId,
        after: Option<u32>,
        n: u32,
    ) -> Result<Vec<ReceiptLeaf>, StoreError> {
        self.threads.read(move |connection| view::leaves(connection, job, after, n)).await
    }

    async fn close(&self, job: JobId, close: Close) -> Result<(), StoreError> {
        const CLOSE: &str = "-- store::close
            UPDATE jobs SET close = ?2 WHERE no = ?1 AND close IS NULL AND ended_at IS NOT NULL";
        self.threads
            .write(Durability::Disk, move |writer| {
                let no = view::number(&writer.connection, job)?.ok_or(StoreError::UnknownJob(job))?;
                let close = codec::text(&close)?;
                writer.connection.prepare_cached(CLOSE)?.execute(rusqlite::params![no, close])?;
                writer.wake_job(job);
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl WorkQueue for SqliteStore {
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.threads.write(Durability::Process, move |writer| writer.claim(&claim)).await
    }

    async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError> {
        self.threads.write(Durability::Process, move |writer| writer.renew(&leases, lease, now)).await
    }

    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError> {
        self.threads.write(Durability::Disk, move |writer| writer.checkpoint(lease, &token)).await
    }

    async fn record(&self, recordings: Vec<Recording>, now: Timestamp) -> Result<RecordReport, StoreError> {
        self.threads.write(Durability::Disk, move |writer| writer.record(&recordings, now)).await
    }

    async fn give_back(
        &self,
        leases: Vec<LeaseKey>,
        parting: Parting,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        self.threads.write(Durability::Process, move |writer| writer.give_back(&leases, parting, now)).await
    }

    async fn reap(&self, n: u32, now: Timestamp) -> Result<Reaped, StoreError> {
        self.threads.write(Durability::Process, move |writer| writer.reap(n, now)).await
    }
}

#[async_trait]
impl JobView for SqliteStore {
    async fn job(&self, job: JobId) -> Result<Option<JobSummary>, StoreError> {
        self.threads.read(move |connection| view::job(connection, job)).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobSummary>, StoreError> {
        self.threads.read(move |connection| view::jobs(connection, &filter)).await
    }

    async fn matrix(&self, job: JobId) -> Result<Matrix, StoreError> {
        self.threads.read(move |connection| view::matrix(connection, job)).await
    }

    async fn records(
        &self,
        job: JobId,
        after: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.threads.read(move |connection| view::records(connection, job, after, limit)).await
    }

    async fn progress(&self, job: JobId, now: Timestamp) -> Result<Progress, StoreError> {
        self.threads.read(move |connection| view::progress(connection, job, now)).await
    }

    async fn failures(&self, job: JobId) -> Result<Vec<Failure>, StoreError> {
        self.threads.read(move |connection| failures::failures(connection, job)).await
    }
}

#[async_trait]
impl Board for SqliteStore {
    async fn cells(&self, job: JobId, filter: CellFilter) -> Result<Page<CellView>, StoreError> {
        self.threads.read(move |connection| board::cells(connection, job, &filter)).await
    }

    async fn batches(&self, job: JobId) -> Result<Vec<BatchView>, StoreError> {
        self.threads.read(move |connection| view::batches_of(connection, job)).await
    }

    async fn recent(&self, cursor: Option<String>, limit: u32) -> Result<Page<ExecutionLine>, StoreError> {
        self.threads.read(move |connection| board::recent(connection, cursor.as_deref(), limit)).await
    }

    async fn endpoints(&self, now: Timestamp) -> Result<Vec<EndpointStatus>, StoreError> {
        self.threads.read(move |connection| board::endpoints(connection, now)).await
    }

    async fn latencies(&self) -> Result<Vec<EndpointLatency>, StoreError> {
        self.threads.read(board::latencies).await
    }
}
