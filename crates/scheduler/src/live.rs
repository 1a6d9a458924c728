//! The leases that this process holds, each with a token that ends its call. They are held, and renewed, until what
//! came of the call is recorded.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use beacon_domain::{LeaseKey, LossReason, Parting};
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
    why: Arc<OnceLock<LossReason>>,
    /// Whether it has ended, and only its record is to be written.
    ended: bool,
}

/// One live lease; dropping it frees the slot.
pub(crate) struct Held {
    live: Arc<Live>,
    key: LeaseKey,
    /// Cancelled when the lease is lost.
    pub(crate) lost: CancellationToken,
    why: Arc<OnceLock<LossReason>>,
    /// Cancelled when it is durable where the call can be found again.
    pub(crate) resumable: CancellationToken,
}

impl Live {
    /// Holds a lease from now on.
    pub(crate) fn hold(self: &Arc<Self>, key: LeaseKey) -> Held {
        let (lost, why) = (CancellationToken::new(), Arc::new(OnceLock::new()));
        self.lock().insert(key, Call { lost: lost.clone(), why: Arc::clone(&why), ended: false });
        Held { live: Arc::clone(self), key, lost, why, resumable: CancellationToken::new() }
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
    pub(crate) fn lose(&self, key: &LeaseKey, reason: LossReason) -> bool {
        let leases = self.lock();
        let Some(call) = leases.get(key).filter(|call| !call.ended) else { return false };
        let _ = call.why.set(reason);
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

    /// What its call, which may itself have been found again, leaves at its endpoint when it is dropped. Whoever has the execution by now has a call with it that can be
    /// found again, and the store counts that since the lease ended; it may have ended meanwhile, and its answer be recorded.
    pub(crate) fn parting(&self, was_found: bool) -> Parting {
        let can_be_found = was_found || self.resumable.is_cancelled();
        match self.why.get() {
            Some(LossReason::Reclaimed) if can_be_found => Parting::NoCall,
            _ => Parting::Abandoned,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.live.lock().remove(&self.key);
        self.live.release();
    }
}

#[cfg(test)]
mod tests {
    use beacon_domain::{ExecutionId, JobId, LossReason, Parting};

    use super::*;

    // S1
    #[test]
    fn a_call_that_another_worker_may_have_found_leaves_nothing_and_every_other_one_does() {
        let check = |reason: LossReason, is_resumable: bool, expected: Parting| {
            let (live, key) = (Arc::new(Live::default()), LeaseKey { execution: EXECUTION, token: 1 });
            let held = live.hold(key);
            if is_resumable {
                held.resumable.cancel();
            }
            assert!(live.lose(&key, reason));

            assert_eq!(held.parting(false), expected, "{reason:?}, {is_resumable}");
        };

        check(LossReason::Reclaimed, true, Parting::NoCall);
        check(LossReason::Reclaimed, false, Parting::Abandoned);
        check(LossReason::Cancelled, true, Parting::Abandoned);
        check(LossReason::TimedOut, true, Parting::Abandoned);
        let stopped = Arc::new(Live::default()).hold(LeaseKey { execution: EXECUTION, token: 1 });
        assert_eq!(stopped.parting(true), Parting::Abandoned, "its lease was not lost");
    }

    const EXECUTION: ExecutionId = ExecutionId { job: JobId::from_bytes([7; 16]), n: 0 };
}
