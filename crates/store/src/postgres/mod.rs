//! The store in PostgreSQL: any number of processes on any number of machines share it.

mod abandoned;
mod accept;
mod access;
mod answers;
mod attendance;
mod audit;
mod board;
mod cancel;
mod cells;
mod claim;
mod clock;
mod codec;
mod connect;
mod counts;
mod delivery;
mod end;
mod endpoint;
mod error;
mod failures;
mod lease;
mod load;
mod locks;
mod lows;
mod operate;
mod options;
mod quota;
mod ready;
mod reap;
mod record;
mod result;
mod retention;
mod room;
mod session;
mod signal;
mod stale;
mod store;
mod stuck;
mod target;
mod transaction;
mod view;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    Acceptance, Accepted, BatchView, Board, CancelReason, Cancelled, CellFilter, CellView, Claim, Claimed,
    Clock, EndpointId, EndpointLatency, EndpointStatus, ExecutionLine, ExecutionRecord, Failure, JobFilter,
    JobId, JobStore, JobSummary, JobView, LeaseKey, Matrix, NonceUse, Outcome, Page, Parting, Progress,
    Reaped, ReceiptLeaf, RecordReport, Recording, Renewed, ResumeToken, StoreError, Topic, Wakeups,
    WorkQueue,
};
use beacon_spec::{Close, Timestamp};
use tokio::task::JoinHandle;

use clock::ServerClock;
pub use error::may_come_back;
pub(crate) use error::{Fault, explain, unavailable};
pub use options::PostgresOptions;
pub(crate) use options::place;
use signal::Signals;
use store::Core;
pub use target::shown_url;
pub(crate) use transaction::{Kind, Tx, Work};

/// From so many executions on, the statistics are brought up to date after a load.
const MANY: usize = 10_000;

/// Jobs in a PostgreSQL database. Share it as `Arc`.
pub struct PostgresStore {
    core: Core,
    wakeups: Arc<Wakeups>,
    signals: Arc<Signals>,
    clock: Arc<ServerClock>,
    tasks: [JoinHandle<()>; 3],
}

impl PostgresStore {
    /// Connects, and checks that the schema is the one of this version. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] says what is wrong and what to do, and never shows a password.
    pub async fn connect(options: PostgresOptions) -> Result<Self, StoreError> {
        let connections = options.pool().await?;
        connections.run(&crate::migrate::Check { place: connections.place.clone() }).await?;
        let clock = Arc::new(ServerClock::new(options.clock.clone()));
        clock.ask(&connections.pool).await.map_err(|fault| fault.explained(&connections.place))?;
        let wakeups = Arc::new(Wakeups::new());
        let signals = Arc::new(Signals::new(wakeups.clone()));
        let tasks = [
            tokio::spawn(signals.clone().send(connections.clone())),
            tokio::spawn(signals.clone().listen(options)),
            tokio::spawn(clock.clone().follow(connections.pool.clone())),
        ];
        Ok(Self { core: Core::new(connections), wakeups, signals, clock, tasks })
    }

    /// The server's date and time, over the machine's timer. Whoever shares the database should live by it: leases and
    /// deadlines are then judged by one clock, whatever the machines' clocks say.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// Hints that looking again may pay, from this process and from others.
    #[must_use]
    pub fn wakeups(&self) -> Arc<Wakeups> {
        self.wakeups.clone()
    }

    /// Deletes jobs that ended before `before`, at most about `rows` of their rows in each transaction, until none is
    /// left or `most` are gone. Nonces and signature points stay: what was replayed once stays refused.
    ///
    /// # Errors
    /// The database cannot be reached; what was deleted stays deleted, and a second call goes on.
    pub async fn delete_ended_before(
        &self,
        before: Timestamp,
        most: u32,
        rows: u32,
    ) -> Result<u32, StoreError> {
        retention::delete_ended_before(&self.core, before, most, rows).await
    }

    /// The signed bytes of a job as they arrived, if there is such a job.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn signed_spec(&self, job: JobId) -> Result<Option<Vec<u8>>, StoreError> {
        self.core.connections.run(&retention::SignedSpecOf(job)).await
    }

    /// Ends the tasks and closes the connections.
    pub async fn shut_down(mut self) {
        for task in &mut self.tasks {
            task.abort();
            // It was cancelled, as asked.
            let _ = task.await;
        }
        self.core.connections.pool.close();
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("place", &self.core.connections.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl JobStore for PostgresStore {
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, StoreError> {
        let executions = &acceptance.plan.executions;
        let mut seen = std::collections::HashSet::new();
        let used = executions.iter().filter_map(|execution| execution.endpoint.as_ref());
        let ids: Vec<&EndpointId> = used.filter(|endpoint| seen.insert(*endpoint)).collect();
        let places = self.core.endpoints(&ids).await?;
        let endpoints: Vec<_> = ids.into_iter().zip(places).collect();
        let (core, acceptance, endpoints) = (&self.core, &acceptance, endpoints.as_slice());
        let accepted = if executions.len() <= accept::SMALL {
            self.core.connections.run(&accept::Accept::<true> { core, acceptance, endpoints }).await?
        } else {
            self.core.connections.run(&accept::Accept::<false> { core, acceptance, endpoints }).await?
        };
        if let Accepted::New(job) = accepted {
            if executions.len() >= MANY {
                self.core.connections.analyze().await;
            }
            self.signals.tell([Topic::Queue, Topic::Job(job)]);
        }
        Ok(accepted)
    }

    async fn nonce_use(&self, public_key: [u8; 32], nonce: String) -> Result<Option<NonceUse>, StoreError> {
        self.core.connections.run(&accept::UseOfNonce { public_key, nonce }).await
    }

    async fn cancel(
        &self,
        job: JobId,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<Cancelled, StoreError> {
        let work = cancel::Cancel { core: &self.core, job, why: &reason, now };
        let cancelled = self.core.connections.run(&work).await?;
        self.signals.tell([Topic::Queue, Topic::Job(job)]);
        Ok(cancelled)
    }

    async fn unclosed(&self, n: u32) -> Result<Vec<JobId>, StoreError> {
        self.core.connections.run(&view::Unclosed(n)).await
    }

    async fn receipt_leaves(
        &self,
        job: JobId,
        after: Option<u32>,
        n: u32,
    ) -> Result<Vec<ReceiptLeaf>, StoreError> {
        self.core.connections.run(&view::Leaves { job, after, limit: n }).await
    }

    async fn close(&self, job: JobId, close: Close) -> Result<(), StoreError> {
        self.core.connections.run(&end::CloseJob { core: &self.core, job, close: &close }).await?;
        self.signals.tell([Topic::Job(job)]);
        Ok(())
    }
}

#[async_trait]
impl WorkQueue for PostgresStore {
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        let ids: Vec<&EndpointId> = claim.rooms.iter().map(|room| &room.endpoint).collect();
        let places = self.core.endpoints(&ids).await?;
        // The slots of what is being recorded are given to the claim that was asked for behind it.
        drop(self.core.recording.write().await);
        let work =
            claim::ClaimWork { core: &self.core, claim: &claim, places: &places, careful: false.into() };
        let (claimed, jobs) = self.core.connections.run(&work).await?;
        self.signals.tell(jobs.into_iter().map(Topic::Job));
        Ok(claimed)
    }

    async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Renewed>, StoreError> {
        self.core.connections.run(&lease::Renew { core: &self.core, leases: &leases, lease, now }).await
    }

    async fn checkpoint(&self, lease: LeaseKey, token: ResumeToken) -> Result<bool, StoreError> {
        self.core.connections.run(&lease::Checkpoint { lease, token: &token }).await
    }

    async fn record(&self, recordings: Vec<Recording>, now: Timestamp) -> Result<RecordReport, StoreError> {
        let recording = self.core.recording.read().await;
        let work = record::Record { core: &self.core, recordings: &recordings, now };
        let (report, opened) = self.core.connections.run(&work).await?;
        drop(recording);
        let jobs: BTreeSet<JobId> =
            recordings.iter().map(|recording| recording.lease.execution.job).collect();
        self.signals.tell(jobs.into_iter().map(Topic::Job).chain(opened.then_some(Topic::Queue)));
        if recordings.iter().any(|recording| matches!(recording.outcome, Outcome::Retry { .. })) {
            // Other processes see it when they look for something else; it has time.
            self.wakeups.wake(Topic::Queue);
        }
        Ok(report)
    }

    async fn give_back(
        &self,
        leases: Vec<LeaseKey>,
        parting: Parting,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let work = lease::GiveBack { core: &self.core, leases: &leases, parting, now };
        let given = self.core.connections.run(&work).await?;
        let jobs: BTreeSet<JobId> = leases.iter().map(|lease| lease.execution.job).collect();
        self.signals.tell(jobs.into_iter().map(Topic::Job).chain([Topic::Queue]));
        Ok(given)
    }

    async fn reap(&self, n: u32, now: Timestamp) -> Result<Reaped, StoreError> {
        let connections = &self.core.connections;
        let mut timed_out = 0;
        let (mut batches, mut jobs) = (Vec::new(), Vec::new());
        // A job at a time: each is held alone, and two held by one transaction could be a circle.
        for job in connections.run(&reap::LateJobs { n, now }).await? {
            let (executions, ended) = connections.run(&cancel::TimeOut { job, now }).await?;
            timed_out += executions;
            ended.report(&mut batches, &mut jobs);
        }
        let mut reaped = connections.run(&reap::Expired { n, now }).await?;
        reaped.timed_out = timed_out;
        batches.append(&mut reaped.batches_done);
        jobs.append(&mut reaped.jobs_ended);
        (reaped.batches_done, reaped.jobs_ended) = (batches, jobs);
        if reaped.leases_returned > 0 || timed_out > 0 || !reaped.batches_done.is_empty() {
            let ended = reaped.jobs_ended.iter().map(|ended| Topic::Job(ended.job));
            self.signals.tell(ended.chain([Topic::Queue]));
        }
        Ok(reaped)
    }
}

#[async_trait]
impl JobView for PostgresStore {
    async fn job(&self, job: JobId) -> Result<Option<JobSummary>, StoreError> {
        self.core.connections.run(&view::One(job)).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobSummary>, StoreError> {
        self.core.connections.run(&view::Jobs(&filter)).await
    }

    async fn matrix(&self, job: JobId) -> Result<Matrix, StoreError> {
        self.core.connections.run(&cells::MatrixOf(job)).await
    }

    async fn records(
        &self,
        job: JobId,
        after: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.core.connections.run(&cells::Records { job, after, limit }).await
    }

    async fn progress(&self, job: JobId, now: Timestamp) -> Result<Progress, StoreError> {
        self.core.connections.run(&view::ProgressOf { job, now }).await
    }

    async fn failures(&self, job: JobId) -> Result<Vec<Failure>, StoreError> {
        self.core.connections.run(&failures::FailuresOf(job)).await
    }
}

#[async_trait]
impl Board for PostgresStore {
    async fn cells(&self, job: JobId, filter: CellFilter) -> Result<Page<CellView>, StoreError> {
        self.core.connections.run(&board::Cells { core: &self.core, job, filter: &filter }).await
    }

    async fn batches(&self, job: JobId) -> Result<Vec<BatchView>, StoreError> {
        self.core.connections.run(&view::BatchesOf(job)).await
    }

    async fn recent(&self, cursor: Option<String>, limit: u32) -> Result<Page<ExecutionLine>, StoreError> {
        let cursor = cursor.as_deref();
        self.core.connections.run(&board::Recent { core: &self.core, cursor, limit }).await
    }

    async fn endpoints(&self, now: Timestamp) -> Result<Vec<EndpointStatus>, StoreError> {
        self.core.connections.run(&board::Statuses(now)).await
    }

    async fn latencies(&self) -> Result<Vec<EndpointLatency>, StoreError> {
        self.core.connections.run(&board::Latencies).await
    }
}
