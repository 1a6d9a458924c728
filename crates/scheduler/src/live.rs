//! The leases that this process holds, each with a token that ends its call.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use beacon_domain::LeaseKey;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All live leases of a worker.
#[derive(Debug, Default)]
pub(crate) struct Live {
    leases: Mutex<HashMap<LeaseKey, CancellationToken>>,
    released: Notify,
}

/// One live lease; dropping it frees the slot.
pub(crate) struct Held {
    live: Arc<Live>,
    key: LeaseKey,
    /// Cancelled when the lease is lost.
    pub(crate) lost: CancellationToken,
}

impl Live {
    /// Holds a lease from now on.
    pub(crate) fn hold(self: &Arc<Self>, key: LeaseKey) -> Held {
        let lost = CancellationToken::new();
        self.lock().insert(key, lost.clone());
        Held { live: Arc::clone(self), key, lost }
    }

    /// All keys held.
    pub(crate) fn keys(&self) -> Vec<LeaseKey> {
        self.lock().keys().copied().collect()
    }

    /// How many are held.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Ends the call of a lost lease.
    pub(crate) fn lose(&self, key: &LeaseKey) {
        if let Some(lost) = self.lock().get(key) {
            lost.cancel();
        }
    }

    /// Tells that slots are becoming free.
    pub(crate) fn release(&self) {
        self.released.notify_one();
    }

    /// Returns when a slot has become free since it was last asked.
    pub(crate) async fn released(&self) {
        self.released.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LeaseKey, CancellationToken>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.live.lock().remove(&self.key);
        self.live.release();
    }
}
