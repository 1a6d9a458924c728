//! The two threads of a file: one writes, one reads. Whatever waits for the writer is committed together.

use std::{
    any::Any,
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use beacon_domain::{Bound, EndpointId, JobId, Room, StoreError, Topic, Wakeups};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::open::explain;
use crate::{fair::Lane, frozen::Frozen};

/// The most commands in one transaction.
const GROUP: usize = 512;
/// How often an idle writer looks for changes by other processes.
const LOOK: Duration = Duration::from_millis(250);

/// Answers one command after the commit; `Some` is why the commit failed.
type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// What is asked of the writer.
struct Command {
    durability: Durability,
    run: Box<dyn FnOnce(&mut Writer) -> Answer + Send>,
}

/// What a commit must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The end of the process. A power cut may undo it, which costs a lease.
    Process,
    /// A power cut too: it is on disk before anyone hears of it.
    Disk,
}

type Query = Box<dyn FnOnce(&Connection) + Send>;

/// The writing side, on its own thread.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    pub(crate) lanes: HashMap<i64, Lane<i64>>,
    /// Numbers of endpoints with what was last written of them.
    pub(crate) endpoints: HashMap<EndpointId, (i64, Option<Written>)>,
    pub(crate) frozen: HashMap<i64, Arc<Frozen>>,
    wakes: HashSet<Topic>,
    /// Why the transaction of this group could not begin, or broke under a command.
    broken: Option<rusqlite::Error>,
    /// Whether the transaction has one command, which needs no way back of its own.
    alone: bool,
}

/// What was last written of an endpoint: as a worker saw it, and what bounded the claim.
pub(crate) type Written = (Room, Option<Bound>);

/// The ways to the threads. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Threads {
    /// Gone only while this is dropped.
    ways: Option<(mpsc::Sender<Command>, mpsc::Sender<Query>)>,
    running: Vec<std::thread::JoinHandle<()>>,
    path: Arc<Path>,
}

/// Waits for the threads: what was asked is then done, the log is in the file, and the lock is free.
impl Drop for Threads {
    fn drop(&mut self) {
        self.ways = None;
        for thread in self.running.drain(..) {
            // One that panicked has told it already.
            let _ = thread.join();
        }
    }
}

impl Threads {
    /// Starts both threads.
    pub(crate) fn start(
        path: &Path,
        writer: Connection,
        reader: Connection,
        wakeups: Arc<Wakeups>,
        guard: impl Any + Send,
    ) -> std::io::Result<Self> {
        let (writes, commands) = mpsc::channel(1024);
        let (reads, mut queries) = mpsc::channel::<Query>(1024);
        let writer = Writer::new(path, writer);
        // In this order: the last connection that closes brings the log into the file.
        let reading = std::thread::Builder::new().name("beacon-read".into()).spawn(move || {
            while let Some(query) = queries.blocking_recv() {
                query(&reader);
            }
        })?;
        let writing = std::thread::Builder::new().name("beacon-write".into()).spawn(move || {
            writer.run(commands, &wakeups);
            drop(guard);
        })?;
        Ok(Self { ways: Some((writes, reads)), running: vec![reading, writing], path: path.into() })
    }

    /// Runs `command` in a transaction, shared with whoever waits at the same time; answers after the commit.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        command: impl FnOnce(&mut Writer) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let run: Box<dyn FnOnce(&mut Writer) -> Answer + Send> = Box::new(move |writer| {
            let result = writer.guarded(command);
            Box::new(move |failed| {
                let result = match (failed, result) {
                    (Some(error), Ok(_)) => Err(error),
                    (_, result) => result,
                };
                // Nobody waits any more if the caller was dropped; what is written stays.
                let _ = answer.send(result);
            })
        });
        let (writes, _) = self.ways.as_ref().ok_or_else(|| self.gone())?;
        writes.send(Command { durability, run }).await.map_err(|_| self.gone())?;
        answered.await.map_err(|_| self.gone())?
    }

    /// Runs `query` beside the writer.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let path = self.path.clone();
        let query: Query = Box::new(move |connection| {
            let result = snapshot(connection, query).map_err(|fault| fault.explained(&path));
            let _ = answer.send(result);
        });
        let (_, reads) = self.ways.as_ref().ok_or_else(|| self.gone())?;
        reads.send(query).await.map_err(|_| self.gone())?;
        answered.await.map_err(|_| self.gone())?
    }

    fn gone(&self) -> StoreError {
        StoreError::Unavailable {
            message: format!("the thread for {} has ended; start again and report this", self.path.display()),
            source: None,
        }
    }
}

/// One query sees one state, however many statements it has.
fn snapshot<T>(
    connection: &Connection,
    query: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = query(connection);
    connection.prepare_cached("COMMIT")?.execute([])?;
    result
}

/// Why a command failed: the store's answer, or the database.
#[derive(Debug)]
pub(crate) enum Fault {
    Store(StoreError),
    Database(rusqlite::Error),
}

impl Fault {
    fn explained(self, path: &Path) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Database(error) => explain(path, error),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Writer {
    fn new(path: &Path, connection: Connection) -> Self {
        Self {
            connection,
            path: path.to_owned(),
            lanes: HashMap::new(),
            endpoints: HashMap::new(),
            frozen: HashMap::new(),
            wakes: HashSet::new(),
            broken: None,
            alone: false,
        }
    }

    /// Wakes after the commit.
    pub(crate) fn wake_queue(&mut self) {
        self.wakes.insert(Topic::Queue);
    }

    /// Wakes after the commit.
    pub(crate) fn wake_job(&mut self, job: JobId) {
        self.wakes.insert(Topic::Job(job));
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>, wakeups: &Wakeups) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
        let mut group = Vec::with_capacity(GROUP);
        let mut seen = self.version();
        loop {
            // The timer must be made inside the runtime.
            let waited = runtime
                .block_on(async { tokio::time::timeout(LOOK, commands.recv_many(&mut group, GROUP)).await });
            match waited {
                Ok(0) => return,
                Ok(_) => self.commit(&mut group, wakeups),
                Err(_) => {}
            }
            let version = self.version();
            if version != seen {
                seen = version;
                wakeups.wake(Topic::Queue);
                self.wake_open(wakeups);
            }
        }
    }

    /// Another process changed something; which job is not known, so all that are young or open are woken.
    fn wake_open(&self, wakeups: &Wakeups) {
        const RECENT: &str = "-- writer::wake_open
            SELECT id FROM jobs ORDER BY no DESC LIMIT 200";
        let ids = self.connection.prepare_cached(RECENT).and_then(|mut query| {
            query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<[u8; 16]>>>()
        });
        for id in ids.unwrap_or_default() {
            wakeups.wake(Topic::Job(JobId::from_bytes(id)));
        }
    }

    /// Changes when another connection has written.
    fn version(&self) -> i64 {
        let version = self.connection.prepare_cached("PRAGMA data_version");
        version.and_then(|mut query| query.query_row([], |row| row.get(0))).unwrap_or(0)
    }

    fn commit(&mut self, group: &mut Vec<Command>, wakeups: &Wakeups) {
        let to_disk = group.iter().any(|command| command.durability == Durability::Disk);
        let synchronous = if to_disk { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
        self.broken = self.execute(synchronous).and_then(|()| self.execute("BEGIN IMMEDIATE")).err();
        self.alone = group.len() == 1;
        let answers: Vec<_> = group.drain(..).map(|command| (command.run)(self)).collect();
        let failed = self.broken.take().or_else(|| self.execute("COMMIT").err());
        if failed.is_some() {
            self.forget();
            let _ = self.execute("ROLLBACK");
        }
        let wakes = std::mem::take(&mut self.wakes);
        if failed.is_none() {
            wakes.into_iter().for_each(|topic| wakeups.wake(topic));
        }
        for answer in answers {
            answer(failed.as_ref().map(|error| explain(&self.path, copy(error))));
        }
    }

    /// Runs one command so that its failure undoes only itself.
    fn guarded<T>(&mut self, command: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, StoreError> {
        if let Some(broken) = &self.broken {
            return Err(explain(&self.path, copy(broken)));
        }
        let result = if self.alone { command(self) } else { self.in_savepoint(command) };
        result.map_err(|fault| {
            self.forget();
            if self.connection.is_autocommit() || self.alone {
                // A full disk, for one, ends the whole transaction; a lone command takes it down with it.
                self.broken = Some(match &fault {
                    Fault::Database(error) => copy(error),
                    Fault::Store(_) => rusqlite::Error::StatementChangedRows(0),
                });
            }
            fault.explained(&self.path)
        })
    }

    fn in_savepoint<T>(&mut self, command: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.execute("SAVEPOINT command")?;
        let result = command(self);
        if result.is_err() && !self.connection.is_autocommit() {
            self.execute("ROLLBACK TO command")?;
        }
        if !self.connection.is_autocommit() {
            self.execute("RELEASE command")?;
        }
        result
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// Forgets what a rolled back transaction may have written.
    fn forget(&mut self) {
        self.endpoints.clear();
        self.frozen.clear();
    }
}

fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        rusqlite::Error::IntegralValueOutOfRange(column, value) => {
            rusqlite::Error::IntegralValueOutOfRange(*column, *value)
        }
        _ => rusqlite::Error::InvalidQuery,
    }
}
