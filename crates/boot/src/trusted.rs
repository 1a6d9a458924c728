//! The keys that a service trusts: those of the ring's file, and those that operators added or revoked at run time.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use beacon_domain::{Clock, StoreError, TrustStore};
use beacon_spec::{KeyRing, KeySource, KeyStatus, TrustedKey};
use tracing::warn;

/// For how long a key that was revoked in the store may still be trusted.
const EVERY: Duration = Duration::from_secs(2);
/// The most keys that are kept in the store.
const MOST: u32 = 100_000;

/// A ring and a store. A key that either of them has revoked is revoked; of a key that both trust, the store has the policy.
pub struct TrustedKeys {
    ring: KeyRing,
    store: Arc<dyn TrustStore>,
    stored: RwLock<HashMap<[u8; 32], TrustedKey>>,
}

impl TrustedKeys {
    /// Reads the store's keys for the first time.
    ///
    /// # Errors
    /// The store cannot be reached: nobody is trusted on half of what there is.
    pub async fn load(ring: KeyRing, store: Arc<dyn TrustStore>) -> Result<Arc<Self>, StoreError> {
        let keys = Self { ring, store, stored: RwLock::default() };
        keys.read().await?;
        Ok(Arc::new(keys))
    }

    /// Reads the store's keys again and again. While it cannot be reached, what was read last holds: it could take no job
    /// either.
    pub fn follow(
        self: &Arc<Self>,
        clock: Arc<dyn Clock>,
    ) -> impl Future<Output = Infallible> + Send + use<> {
        let keys = Arc::clone(self);
        async move {
            let mut did = true;
            loop {
                clock.sleep_until(clock.monotonic() + EVERY).await;
                let read = keys.read().await;
                if let Err(error) = &read
                    && did
                {
                    warn!("cannot read the trusted keys of the database, those of before hold: {error}");
                }
                did = read.is_ok();
            }
        }
    }

    /// Reads the store's keys now.
    ///
    /// # Errors
    /// The store cannot be reached; what was read before holds.
    pub async fn read(&self) -> Result<(), StoreError> {
        let keys = self.store.trusted_keys(MOST).await?;
        let keys = keys.into_iter().map(|stored| (stored.key.public_key, stored.key)).collect();
        *self.stored.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}

impl KeySource for TrustedKeys {
    fn all(&self) -> Vec<TrustedKey> {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        let mut known: HashSet<[u8; 32]> = stored.keys().copied().collect();
        drop(stored);
        known.extend(self.ring.all().into_iter().map(|key| key.public_key));
        known.iter().filter_map(|public_key| self.key(public_key)).collect()
    }

    fn key(&self, public_key: &[u8; 32]) -> Option<TrustedKey> {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner).get(public_key).cloned();
        let ringed = self.ring.key(public_key);
        let is_revoked = |key: &TrustedKey| key.status == KeyStatus::Revoked;
        match (stored, ringed) {
            (Some(_), Some(ringed)) if is_revoked(&ringed) => Some(ringed),
            // The label stays the one under which the key's jobs are known.
            (Some(stored), Some(ringed)) => Some(TrustedKey { kid: ringed.kid, ..stored }),
            (stored, ringed) => stored.or(ringed),
        }
    }
}

impl std::fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedKeys").field("ring", &self.ring).finish_non_exhaustive()
    }
}
