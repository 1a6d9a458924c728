//! The wiring: a database file, endpoints and the runner's key become the scheduler's ports.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use beacon_domain::{
    Backend, Board, Clock, EndpointInfo, JobStore, JobView, Operations, SystemClock, Wakeups, WorkQueue,
};
use beacon_providers::EndpointsFile;
use beacon_spec::ReceiptSigner;
use beacon_store::{OpenMode, PostgresStore, SqliteStore};

use crate::{DatabaseConfig, keys};

/// Between two looks at a database that does not answer yet.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What a process does with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Runs jobs; only one process at a time.
    Run,
    /// Looks at jobs and cancels them, beside a runner.
    Shared,
}

/// A process's parts behind their ports.
pub struct Runtime {
    /// Time: the machine's, or the one that all processes on a server share.
    pub clock: Arc<dyn Clock>,
    /// Accepting and ending jobs.
    pub jobs: Arc<dyn JobStore>,
    /// The queue.
    pub queue: Arc<dyn WorkQueue>,
    /// Reading.
    pub view: Arc<dyn JobView>,
    /// Steering, and who may do what.
    pub operations: Arc<dyn Operations>,
    /// Reading in pages, and how endpoints stand.
    pub board: Arc<dyn Board>,
    /// The store's hints.
    pub wakeups: Arc<Wakeups>,
}

/// Where jobs are kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// One SQLite file.
    File(PathBuf),
    /// A PostgreSQL database, shared with other processes.
    Server(Box<DatabaseConfig>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server(config) => config.url.as_ref().map_or(Ok(()), |url| write!(f, "{url}")),
        }
    }
}

impl Runtime {
    /// Opens the database. A file is made if it is missing and `access` is [`Access::Run`].
    ///
    /// # Errors
    /// The file is occupied, read-only, full, or no Beacon database; or as [`Runtime::connect`]. The text says what to
    /// do.
    pub async fn open(place: &Place, access: Access) -> anyhow::Result<Self> {
        match place {
            Place::File(path) => Self::open_file(path, access),
            Place::Server(config) => Self::connect(config, "beacon").await,
        }
    }

    fn open_file(database: &Path, access: Access) -> anyhow::Result<Self> {
        if access == Access::Shared && !database.exists() {
            anyhow::bail!("there is no database {}; name the one of the run with --db", database.display());
        }
        let mode = match access {
            Access::Run => OpenMode::Run,
            Access::Shared => OpenMode::Shared,
        };
        let store = Arc::new(SqliteStore::open(database, mode)?);
        let wakeups = store.wakeups();
        Ok(Self::of(store, wakeups, Arc::new(SystemClock::new())))
    }

    /// Connects to PostgreSQL, whose schema must be there already.
    ///
    /// # Errors
    /// There is no URL, the server cannot be reached or refuses, or the schema is missing, older or newer.
    pub async fn connect(config: &DatabaseConfig, application: &str) -> anyhow::Result<Self> {
        let store = Arc::new(Self::patiently(config, application).await?);
        let (wakeups, clock) = (store.wakeups(), store.clock());
        Ok(Self::of(store, wakeups, clock))
    }

    /// A server that is starting, or failing over, is waited for as long as a connection would be.
    async fn patiently(config: &DatabaseConfig, application: &str) -> anyhow::Result<PostgresStore> {
        let clock = SystemClock::new();
        loop {
            let error = match PostgresStore::connect(config.options(application)?).await {
                Ok(store) => return Ok(store),
                Err(error) => error,
            };
            if !beacon_store::may_come_back(&error) || clock.monotonic().0 >= config.patience {
                return Err(error.into());
            }
            tracing::warn!("{error}; trying again");
            clock.sleep_until(clock.monotonic() + LOOK_AGAIN).await;
        }
    }

    fn of<S: JobStore + WorkQueue + JobView + Board + Operations + 'static>(
        store: Arc<S>,
        wakeups: Arc<Wakeups>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            clock,
            jobs: Arc::clone(&store) as Arc<dyn JobStore>,
            queue: Arc::clone(&store) as Arc<dyn WorkQueue>,
            operations: Arc::clone(&store) as Arc<dyn Operations>,
            view: Arc::clone(&store) as Arc<dyn JobView>,
            board: store,
            wakeups,
        }
    }
}

/// The key that signs receipts; made if the file is missing.
///
/// # Errors
/// The file cannot be read or written.
pub fn receipt_signer(path: &Path) -> anyhow::Result<Arc<ReceiptSigner>> {
    let key = keys::load_or_create_runner_key(path).context("the runner's key")?;
    Ok(Arc::new(ReceiptSigner::new(key)))
}

/// The public half of the key that signs receipts, padded base64.
///
/// # Errors
/// There is no such key yet, or it cannot be read.
pub fn runner_public_key(path: &Path) -> anyhow::Result<String> {
    anyhow::ensure!(
        path.exists(),
        "there is no {}; the first run on a database file makes it, and a deployment has one of its own: --runner-key FILE",
        path.display()
    );
    Ok(keys::load_or_create_runner_key(path)?.public_key_base64())
}

/// The endpoints behind their port. Secrets come from the environment variables that the file names.
///
/// # Errors
/// A setting is wrong or a named variable is missing.
pub fn build_backends(
    endpoints: &EndpointsFile,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Vec<Arc<dyn Backend>>> {
    let environment = |name: &str| std::env::var(name).ok();
    Ok(beacon_providers::build(endpoints, &environment, clock)?)
}

/// The endpoints as a plan sees them, checked as for a run, and the environment variables that a run would miss.
///
/// # Errors
/// A setting is wrong.
pub fn describe_endpoints(endpoints: &EndpointsFile) -> anyhow::Result<(Vec<EndpointInfo>, Vec<String>)> {
    let unset = std::sync::Mutex::new(BTreeSet::new());
    let environment = |name: &str| {
        let set = std::env::var(name).ok().filter(|text| !text.is_empty());
        if set.is_none() {
            unset.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
        // Never sent: what is built here is asked for its description only.
        Some(set.unwrap_or_else(|| "unset".to_owned()))
    };
    let backends = beacon_providers::build(endpoints, &environment, Arc::new(SystemClock::new()))?;
    let infos = backends.iter().map(|backend| backend.describe().clone()).collect();
    Ok((infos, unset.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()))
}

/// Lets this process hold as many connections and files as the system allows it.
pub fn raise_open_files() {
    // What cannot be raised is met later, with an error that says so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}
