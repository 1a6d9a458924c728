//! A trusted key's policy as it stands in a column.

use beacon_spec::{KeyId, KeyStatus, Profile, Quota, Timestamp, TrustedKey};
use serde::{Deserialize, Serialize};

/// The part of a key that is no column of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Policy {
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    profiles: Vec<Profile>,
    weight: u32,
    #[serde(default)]
    quota: Quota,
}

impl Policy {
    /// Of a key.
    pub(crate) fn of(key: &TrustedKey) -> Self {
        Self {
            not_before: key.not_before,
            not_after: key.not_after,
            profiles: key.profiles.clone(),
            weight: key.weight,
            quota: key.quota,
        }
    }

    /// The key with it.
    pub(crate) fn key(self, kid: KeyId, public_key: [u8; 32], revoked: bool) -> TrustedKey {
        let status = if revoked { KeyStatus::Revoked } else { KeyStatus::Active };
        let Self { not_before, not_after, profiles, weight, quota } = self;
        let example = false;
        TrustedKey { kid, public_key, status, not_before, not_after, profiles, weight, quota, example }
    }
}
