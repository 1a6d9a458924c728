//! Named transactions: time limits, settings that end with them, and bounded retries.
//!
//! No state of a transaction outlives it on the server: locks are row locks and transaction-level advisory locks. What a
//! session keeps (settings and prepared statements) it keeps only where it is ours; see [`super::session`].

use std::{
    collections::BTreeSet,
    future::Future,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::StoreError;
use tokio_postgres::{
    Client, Row,
    types::{FromSql, ToSql, Type},
};

use super::{
    error::{Fault, Remedy, is_cut},
    session::{Object, Ownership, Pool, pinned, silence},
    store::locked,
};

/// A value and its type; with the type told, a statement needs one round trip and no name.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A statement and the types of its parameters.
type Unprepared = (&'static str, Vec<Type>);

/// The most tries of one transaction.
const TRIES: u32 = 10;
/// How much longer what concerns a whole job may take.
const WHOLE_JOB: u32 = 40;
/// How much longer than the server this side waits.
const GRACE: Duration = Duration::from_secs(5);

/// What kind of transaction it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A few rows of the queue, many times a second: pinned plans, prepared statements.
    Queue,
    /// All rows of a job, rarely.
    WholeJob,
    /// Reads one state.
    Read,
}

/// One transaction that may run more than once until it commits.
#[async_trait]
pub(crate) trait Work: Sync {
    /// What it gives.
    type Output: Send;
    /// Its name in errors.
    const NAME: &'static str;
    /// What kind it is.
    const KIND: Kind;
    /// Whether it may run again after a commit whose answer was lost.
    const REPLAYABLE: bool;

    /// The statements, in one go. `alone` are the jobs that it must hold alone.
    async fn run(&self, tx: &Tx, alone: &BTreeSet<i64>) -> Result<Self::Output, Fault>;
}

/// An open transaction. Dropped without an end, its connection is closed and not used again.
pub(crate) struct Tx {
    client: Option<Object>,
    /// Sent together with the first statement, which saves a round trip.
    begin: Mutex<Option<String>>,
    commit: Mutex<Commit>,
    /// Statements to prepare behind it, if it is of a kind that comes again.
    unprepared: Option<Mutex<Vec<Unprepared>>>,
}

/// How far the end of a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    No,
    Sent,
    Done,
}

/// A row, with the statement that it came from.
pub(crate) struct Line {
    row: Row,
    statement: &'static str,
}

/// The connections of this process, and where they lead.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) pool: Pool,
    pub(crate) place: std::sync::Arc<str>,
    pub(crate) statement_timeout: Duration,
}

impl Connections {
    /// Runs the work in a transaction, again where that is safe and may help.
    pub(crate) async fn run<W: Work>(&self, work: &W) -> Result<W::Output, StoreError> {
        let mut alone = BTreeSet::new();
        for attempt in 1.. {
            let fault = match self.once(work, &alone).await {
                Ok(output) => return Ok(output),
                Err(fault) => fault,
            };
            match fault.remedy(W::REPLAYABLE) {
                Remedy::Alone(jobs) if attempt < TRIES => alone.extend(jobs),
                Remedy::Again if attempt < TRIES => {
                    tracing::debug!(transaction = W::NAME, attempt, ?fault, "transaction starts again");
                    pause(attempt).await;
                }
                _ => return Err(fault.explained(&self.place)),
            }
        }
        unreachable!("the last try returns")
    }

    /// Brings the planner's statistics of the queue up to date; without them it reads whole tables after a bulk load.
    /// Failing costs time only.
    pub(crate) async fn analyze(&self) {
        let analyzed = async {
            let client = self.pool.get().await.map_err(Fault::Pool)?;
            const ANALYZE: &str =
                "BEGIN; SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '10s';
                ANALYZE beacon.executions, beacon.batches; COMMIT";
            let analyzed = client.batch_execute(ANALYZE).await;
            if analyzed.is_err() {
                // It may be in the middle of a transaction.
                drop(Object::take(client));
            }
            analyzed.map_err(|error| Fault::Database { statement: "analyze", error })
        };
        if let Err(fault) = analyzed.await {
            tracing::warn!(?fault, "cannot bring the statistics up to date");
        }
    }

    async fn once<W: Work>(&self, work: &W, alone: &BTreeSet<i64>) -> Result<W::Output, Fault> {
        let factor = if W::KIND == Kind::WholeJob { WHOLE_JOB } else { 1 };
        let limit = self.statement_timeout * factor;
        let whole = async {
            let mut tx = self.begin(W::KIND, limit).await?;
            match work.run(&tx, alone).await {
                Ok(output) => tx.commit().await.map(|()| output),
                Err(fault) => {
                    tx.roll_back(&fault).await;
                    Err(fault)
                }
            }
        };
        let silent = || Fault::Silent { statement: W::NAME };
        tokio::time::timeout(limit + GRACE, whole).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn begin(&self, kind: Kind, limit: Duration) -> Result<Tx, Fault> {
        let client = self.pool.get().await.map_err(Fault::Pool)?;
        let ours = client.ownership() == Ownership::Ours;
        let mode = if kind == Kind::Read { " ISOLATION LEVEL REPEATABLE READ READ ONLY" } else { "" };
        let ms = limit.as_millis();
        let lock_ms = ms.min(self.statement_timeout.as_millis());
        let silence = silence("SET LOCAL", self.statement_timeout);
        let times =
            format!("SET LOCAL statement_timeout = {ms}; SET LOCAL lock_timeout = {lock_ms}; {silence}");
        let begin = match (kind, ours) {
            // The session is set up for it.
            (Kind::Queue, true) => "BEGIN".to_owned(),
            (Kind::Queue, false) => {
                format!("BEGIN; {times} SET LOCAL jit = off; {}", pinned("SET LOCAL", "off"))
            }
            (_, true) => {
                let plans = pinned("SET LOCAL", "on");
                format!("BEGIN{mode}; {times} SET LOCAL plan_cache_mode = auto; {plans}")
            }
            (_, false) => format!("BEGIN{mode}; {times} SET LOCAL jit = off"),
        };
        Ok(Tx {
            client: Some(client),
            begin: Mutex::new(Some(begin)),
            commit: Mutex::new(Commit::No),
            unprepared: (ours && kind == Kind::Queue).then(Mutex::default),
        })
    }
}

impl Tx {
    fn client(&self) -> Result<&Object, Fault> {
        // It is taken only by the end, which takes the transaction too.
        self.client.as_ref().ok_or(Fault::Raced)
    }

    /// Sends BEGIN before the first statement, without waiting for its answer. A connection handles what it is sent in
    /// order; if BEGIN fails, the connection is not used again.
    async fn begun<T>(&self, client: &Object, statement: impl Future<Output = T>) -> Result<T, Fault> {
        let Some(begin) = locked(&self.begin).take() else { return Ok(statement.await) };
        let (begun, answer) = futures::join!(client.batch_execute(&begin), statement);
        begun.map_err(|error| Fault::Database { statement: "begin", error })?;
        Ok(answer)
    }

    /// All rows of a statement.
    pub(crate) async fn rows(&self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Line>, Fault> {
        let statement = name(sql);
        let client = self.client()?;
        let rows = match self.prepared(client, sql, params) {
            Some(prepared) => self.begun(client, client.query(prepared, &values(params))).await,
            None => self.begun(client, client.query_typed(sql, params)).await,
        };
        let rows = rows?.map_err(|error| Fault::Database { statement, error })?;
        Ok(rows.into_iter().map(|row| Line { row, statement }).collect())
    }

    /// The statement as it is prepared in this session. If it is not yet, it goes as text now, in one round trip and in
    /// its place among those that were sent before, and is prepared when the transaction is over.
    fn prepared<'a>(
        &self,
        client: &'a Object,
        sql: &'static str,
        params: &[Param<'_>],
    ) -> Option<&'a tokio_postgres::Statement> {
        let unprepared = self.unprepared.as_ref()?;
        let prepared = client.statement(sql);
        if prepared.is_none() {
            let types = params.iter().map(|(_, name)| name.clone()).collect();
            locked(unprepared).push((sql, types));
        }
        prepared
    }

    /// The first row of a statement, if there is one.
    pub(crate) async fn maybe(&self, sql: &'static str, params: &[Param<'_>]) -> Result<Option<Line>, Fault> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// The row of a statement that always has one.
    pub(crate) async fn one(&self, sql: &'static str, params: &[Param<'_>]) -> Result<Line, Fault> {
        let missing = || Fault::Unreadable { statement: name(sql), error: "a row is missing".into() };
        self.maybe(sql, params).await?.ok_or_else(missing)
    }

    /// How many rows a statement changed.
    pub(crate) async fn execute(&self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, Fault> {
        let statement = name(sql);
        let client = self.client()?;
        let changed = match self.prepared(client, sql, params) {
            Some(prepared) => self.begun(client, client.execute(prepared, &values(params))).await,
            None => self.begun(client, client.execute_typed(sql, params)).await,
        };
        changed?.map_err(|error| Fault::Database { statement, error })
    }

    /// The way in for many rows.
    pub(crate) async fn copy_in(
        &self,
        sql: &'static str,
    ) -> Result<tokio_postgres::CopyInSink<bytes::Bytes>, Fault> {
        let statement = name(sql);
        let client = self.client()?;
        // As text it would be prepared first, which is a round trip.
        let sink = match self.prepared(client, sql, &[]) {
            Some(prepared) => self.begun(client, client.copy_in(prepared)).await?,
            None => self.begun(client, client.copy_in(sql)).await?,
        };
        sink.map_err(|error| Fault::Database { statement, error })
    }

    /// Sends COMMIT right behind the last statements, which saves a round trip while locks are held. If one of them fails,
    /// the server rolls back. Nothing may follow.
    pub(crate) async fn finish<T>(&self, last: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let client = self.client()?;
        *locked(&self.commit) = Commit::Sent;
        let (last, committed) = futures::join!(last, client.batch_execute("COMMIT"));
        let output = last.map_err(|fault| match fault {
            // COMMIT was on its way already.
            Fault::Database { error, .. } if is_cut(&error) => Fault::UnknownCommit { error },
            fault => fault,
        })?;
        committed.map_err(|error| Fault::UnknownCommit { error })?;
        *locked(&self.commit) = Commit::Done;
        Ok(output)
    }

    /// The client, for statements that others share.
    pub(crate) async fn plain(&self) -> Result<&Client, Fault> {
        let client = self.client()?;
        self.begun(client, std::future::ready(())).await?;
        Ok(client)
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        if *locked(&self.commit) == Commit::Done {
            self.leave();
            return Ok(());
        }
        let committed = self.client()?.batch_execute("COMMIT").await;
        match committed {
            Ok(()) => {
                self.leave();
                Ok(())
            }
            Err(error) if error.as_db_error().is_none() => Err(Fault::UnknownCommit { error }),
            Err(error) => Err(Fault::Database { statement: "commit", error }),
        }
    }

    /// Gives the connection back to the pool; nobody waits until it has prepared what it lacked.
    fn leave(&mut self) {
        let (client, unprepared) = (self.client.take(), self.unprepared.take());
        let mut wanted = unprepared.map(Mutex::into_inner).and_then(Result::ok).unwrap_or_default();
        wanted.sort_unstable_by_key(|(sql, _)| *sql);
        wanted.dedup_by_key(|(sql, _)| *sql);
        if let Some(mut client) = client.filter(|_| !wanted.is_empty()) {
            tokio::spawn(async move { client.prepare(wanted).await });
        }
    }

    async fn roll_back(&mut self, fault: &Fault) {
        let gone = match fault {
            Fault::Database { error, .. } => is_cut(error),
            Fault::UnknownCommit { .. } => true,
            _ => false,
        };
        if !gone
            && let Some(client) = &self.client
            && client.batch_execute("ROLLBACK").await.is_ok()
        {
            drop(self.client.take());
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // Its transaction is open: closing the connection ends it.
            drop(Object::take(client));
        }
    }
}

fn values<'a>(params: &[Param<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|(value, _)| *value).collect()
}

impl Line {
    /// A column.
    pub(crate) fn get<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, Fault> {
        self.row.try_get(column).map_err(|error| self.unreadable(error))
    }

    /// The row cannot be read.
    pub(crate) fn unreadable(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
        Fault::Unreadable { statement: self.statement, error: error.into() }
    }
}

/// The name in the first line of a statement: `-- claim::take`.
pub(crate) fn name(sql: &'static str) -> &'static str {
    sql.lines().next().and_then(|line| line.strip_prefix("-- ")).unwrap_or(sql)
}

/// Waits a little, longer with every try, and not as long as anybody else who waits too.
pub(crate) async fn pause(attempt: u32) {
    let most_ms = 4_u64 << attempt.min(8);
    let random = RandomState::new().build_hasher().finish();
    let pause = Duration::from_millis(1 + random % most_ms);
    let _ = tokio::time::timeout(pause, std::future::pending::<()>()).await;
}
