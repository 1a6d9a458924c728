//! Trusted keys that are kept in the store, beside those of the ring's file (P5).

use async_trait::async_trait;
use beacon_spec::{Timestamp, TrustedKey};

use crate::StoreError;

/// Keys that an operator added or revoked at run time. A key that is revoked here is revoked, whatever the ring says.
#[async_trait]
pub trait TrustStore: Send + Sync {
    /// Trusts a key. The same key again is given its new policy, unless it was revoked.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if another key has its id, or if it was revoked.
    async fn trust(&self, key: TrustedKey, by: String, now: Timestamp) -> Result<(), StoreError>;

    /// Revokes a key for good, also one that only the ring knows; its id there is `key.kid`.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if another key has its id.
    async fn distrust(&self, key: TrustedKey, by: String, now: Timestamp) -> Result<(), StoreError>;

    /// At most `n` keys, by id.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn trusted_keys(&self, n: u32) -> Result<Vec<StoredKey>, StoreError>;
}

/// A key, with who added it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The key and its policy.
    pub key: TrustedKey,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub added_at: Timestamp,
    /// By whom and when it was revoked.
    pub revoked: Option<(String, Timestamp)>,
}
