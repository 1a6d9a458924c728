//! What all transactions of one process share: connections, and what never changes once read.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use beacon_domain::{EndpointId, JobId, StoreError};
use tokio::sync::RwLock;

use super::{
    claim::Endpoints,
    codec::load_frozen,
    counts::BatchKey,
    error::Fault,
    lows::Lows,
    room::Setting,
    transaction::{Connections, Tx},
};
use crate::frozen::Frozen;

/// Jobs whose frozen part is kept at hand.
const FROZEN: usize = 64;

/// Batches that are known to have started.
const STARTED: usize = 16_384;

/// Connections, and a memory of what never changes.
pub(crate) struct Core {
    pub(crate) connections: Connections,
    /// Read while recording; whoever holds it alone for a moment sees what had been recorded until then.
    pub(crate) recording: RwLock<()>,
    /// Numbers of jobs.
    pub(crate) numbers: Mutex<HashMap<JobId, i64>>,
    /// Accounts that have their row.
    pub(crate) accounts: Mutex<HashSet<String>>,
    /// Where queues begin.
    pub(crate) lows: Lows,
    /// The lowest claim of each endpoint that had a live lease when it was last looked at.
    pub(crate) live: Mutex<HashMap<i32, i64>>,
    /// Endpoints for which other workers have another setting, which was told.
    pub(crate) other_files: Mutex<BTreeSet<(i32, Setting)>>,
    endpoints: Mutex<HashMap<EndpointId, i32>>,
    frozen: Mutex<HashMap<i64, Arc<Frozen>>>,
    started: Mutex<HashSet<BatchKey>>,
}

impl Core {
    /// Nothing is known yet.
    pub(crate) fn new(connections: Connections) -> Self {
        Self {
            connections,
            recording: RwLock::default(),
            numbers: Mutex::default(),
            accounts: Mutex::default(),
            lows: Lows::default(),
            live: Mutex::default(),
            other_files: Mutex::default(),
            endpoints: Mutex::default(),
            frozen: Mutex::default(),
            started: Mutex::default(),
        }
    }

    /// Forgets what was read.
    pub(crate) fn forget(&self) {
        locked(&self.numbers).clear();
        locked(&self.accounts).clear();
        locked(&self.live).clear();
        locked(&self.endpoints).clear();
        locked(&self.frozen).clear();
        locked(&self.started).clear();
        self.lows.forget();
    }

    /// The numbers of endpoints, new or known, in the order asked.
    pub(crate) async fn endpoints(&self, ids: &[&EndpointId]) -> Result<Vec<i32>, StoreError> {
        let unknown: Vec<&EndpointId> = {
            let known = locked(&self.endpoints);
            ids.iter().copied().filter(|id| !known.contains_key(*id)).collect()
        };
        if !unknown.is_empty() {
            let found = self.connections.run(&Endpoints { ids: unknown }).await?;
            locked(&self.endpoints).extend(found.into_iter().map(|(id, no)| (EndpointId::new(id), no)));
        }
        let known = locked(&self.endpoints);
        Ok(ids.iter().filter_map(|id| known.get(*id).copied()).collect())
    }

    /// Whether all these batches are known to have started.
    pub(crate) fn have_started(&self, mut batches: impl Iterator<Item = BatchKey>) -> bool {
        let started = locked(&self.started);
        batches.all(|batch| started.contains(&batch))
    }

    /// These batches have started, and that is committed.
    pub(crate) fn note_started(&self, batches: impl Iterator<Item = BatchKey>) {
        let mut started = locked(&self.started);
        if started.len() >= STARTED {
            started.clear();
        }
        started.extend(batches);
    }

    /// What never changes about a job, if it is at hand.
    pub(crate) fn known_frozen(&self, job: i64) -> Option<Arc<Frozen>> {
        locked(&self.frozen).get(&job).cloned()
    }

    /// What never changes about a job.
    pub(crate) async fn frozen(&self, tx: &Tx, job: i64) -> Result<Arc<Frozen>, Fault> {
        if let Some(frozen) = locked(&self.frozen).get(&job) {
            return Ok(frozen.clone());
        }
        let loaded = Arc::new(load_frozen(tx, job).await?);
        let mut frozen = locked(&self.frozen);
        if frozen.len() >= FROZEN {
            frozen.clear();
        }
        frozen.insert(job, loaded.clone());
        // The job may be a later one under the id of a job that retention removed.
        locked(&self.numbers).insert(loaded.id, job);
        Ok(loaded)
    }
}

/// Nothing panics while it holds one of these; if it did, what is inside is still a memory of what was read.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
