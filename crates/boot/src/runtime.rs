//! The wiring: a database file, endpoints and the runner's key become the scheduler's ports.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use anyhow::Context as _;
use beacon_domain::{Backend, Clock, EndpointInfo, JobStore, JobView, SystemClock, Wakeups, WorkQueue};
use beacon_providers::EndpointsFile;
use beacon_spec::ReceiptSigner;
use beacon_store::{OpenMode, SqliteStore};

use crate::keys;

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
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Accepting and ending jobs.
    pub jobs: Arc<dyn JobStore>,
    /// The queue.
    pub queue: Arc<dyn WorkQueue>,
    /// Reading.
    pub view: Arc<dyn JobView>,
    /// The store's hints.
    pub wakeups: Arc<Wakeups>,
}

impl Runtime {
    /// Opens the database file; makes it if it is missing and `access` is [`Access::Run`].
    ///
    /// # Errors
    /// The file is occupied, read-only, full, or no Beacon database; the text says what to do.
    pub fn open(database: &Path, access: Access) -> anyhow::Result<Self> {
        if access == Access::Shared && !database.exists() {
            anyhow::bail!("there is no database {}; name the one of the run with --db", database.display());
        }
        let mode = match access {
            Access::Run => OpenMode::Run,
            Access::Shared => OpenMode::Shared,
        };
        let store = Arc::new(SqliteStore::open(database, mode)?);
        let wakeups = store.wakeups();
        Ok(Self {
            clock: Arc::new(SystemClock::new()),
            jobs: Arc::clone(&store) as Arc<dyn JobStore>,
            queue: Arc::clone(&store) as Arc<dyn WorkQueue>,
            view: store,
            wakeups,
        })
    }

    /// The runner's receipt key, kept beside the database.
    ///
    /// # Errors
    /// The key file cannot be read or written.
    pub fn signer(&self, database: &Path) -> anyhow::Result<Arc<ReceiptSigner>> {
        let key = keys::load_or_create_runner_key(&runner_key(database)).context("the runner's key")?;
        Ok(Arc::new(ReceiptSigner::new(key)))
    }
}

fn runner_key(database: &Path) -> PathBuf {
    database.with_extension("runner-key")
}

/// The public half of the key that signs the receipts of this database, padded base64.
///
/// # Errors
/// There is no such key yet, or it cannot be read.
pub fn runner_public_key(database: &Path) -> anyhow::Result<String> {
    let path = runner_key(database);
    anyhow::ensure!(path.exists(), "there is no {}; the first run on a database makes it", path.display());
    Ok(keys::load_or_create_runner_key(&path)?.public_key_base64())
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
