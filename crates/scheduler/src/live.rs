//! The leases that this process holds, each with a token that ends its call. They are held, and renewed, until what
//! came of the call is recorded.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use beacon_domain::LeaseKey;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All live leases of a worker.
#[derive(Debug, Default)]
pub(crate) struct Live {
    leases: Mutex<BTreeMap<LeaseKey, Call>>,
    released: Notify,
}

/// The call of a lease.
#[derive(Debug)]
struct Call {
    lost: CancellationToken,
    /// Whether it has ended, and only its record is to be written.
    ended: bool,
}

/// One live lease; dropping it frees the slot.
pub(crate) struct Held {
    live: Arc<Live>,
    key: LeaseKey,
    /// Cancelled when the lease is lost.
    pub(crate) lost: CancellationToken,
    /// Cancelled when it is durable where the call can be found again.
    pub(crate) resumable: CancellationToken,
}

impl Live {
    /// Holds a lease from now on.
    pub(crate) fn hold(self: &Arc<Self>, key: LeaseKey) -> Held {
        let lost = CancellationToken::new();
        self.lock().insert(key, Call { lost: lost.clone(), ended: false });
        Held { live: Arc::clone(self), key, lost, resumable: CancellationToken::new() }
    }

    /// All keys held, in their order.
    pub(crate) fn keys(&self) -> Vec<LeaseKey> {
        self.lock().keys().copied().collect()
    }

    /// How many are held.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Ends the call of a lost lease. `false` if there is none any more: a lease that was recorded is lost too.
    pub(crate) fn lose(&self, key: &LeaseKey) -> bool {
        let leases = self.lock();
        let Some(call) = leases.get(key).filter(|call| !call.ended) else { return false };
        call.lost.cancel();
        true
    }

    /// Tells that slots are becoming free.
    pub(crate) fn release(&self) {
        self.released.notify_one();
    }

    /// Returns when a slot has become free since it was last asked.
    pub(crate) async fn released(&self) {
        self.released.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LeaseKey, Call>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The call has ended; the lease is still held until its record is written.
    pub(crate) fn call_ended(&self) {
        if let Some(call) = self.live.lock().get_mut(&self.key) {
            call.ended = true;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.live.lock().remove(&self.key);
        self.live.release();
    }
}
