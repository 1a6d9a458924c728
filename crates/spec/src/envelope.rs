//! The two stages around verification: bytes that nobody may run, and a spec that may.

use std::sync::Arc;

use crate::{JobSpec, KeyId, Profile, Quota, Sha256Digest};

/// The bytes as they arrived. Nothing may run from this type.
#[derive(Debug, Clone)]
pub struct SignedSpec {
    pub(crate) bytes: Arc<[u8]>,
}

/// A spec whose signature held. Only [`verify`](crate::verify) makes one.
#[derive(Debug, Clone)]
pub struct VerifiedSpec {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) digest: Sha256Digest,
    pub(crate) spec: JobSpec,
    pub(crate) key: KeyId,
    pub(crate) public_key: [u8; 32],
    pub(crate) weight: u32,
    pub(crate) quota: Quota,
    pub(crate) profile: Profile,
    pub(crate) signature_point: [u8; 32],
    pub(crate) canonical_digest: Sha256Digest,
}

impl VerifiedSpec {
    /// The exact bytes that arrived.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the exact bytes.
    #[must_use]
    pub const fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The derived job.
    #[must_use]
    pub const fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// The ring's id of the key that signed.
    #[must_use]
    pub const fn key(&self) -> &KeyId {
        &self.key
    }

    /// The key's own bytes, which stay when a ring gives it another id.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// The key's share against other keys; 1 is normal.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.weight
    }

    /// What the key may have.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// The form under which the signature held.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// R, the first 32 bytes of the signature; once per message and key (P6).
    #[must_use]
    pub const fn signature_point(&self) -> &[u8; 32] {
        &self.signature_point
    }

    /// SHA-256 of the canonical bytes that were signed.
    #[must_use]
    pub const fn canonical_digest(&self) -> Sha256Digest {
        self.canonical_digest
    }
}
