//! Verification: the one pipeline for every way in, and the only maker of a [`VerifiedSpec`] (P4).

use std::{sync::Arc, time::Duration};

use crate::{
    KeySource, KeyStatus, Profile, Sha256Digest, SignedSpec, Timestamp, Trust, TrustedKey, VerifiedSpec,
    VerifyError,
    claimed::Claimed,
    limits::MAX_SPEC_BYTES,
    normalise::{self, Stamps},
    wrapper,
};

/// Whether the age of a signature decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// For services: time stamp and nonce must be there, and the time stamp must be within the window.
    Window {
        /// The oldest accepted.
        max_age: Duration,
        /// How far ahead a signer's clock may be.
        max_skew: Duration,
    },
    /// For a file on one's own machine: the caller tells the age.
    NotedOnly,
}

impl SignedSpec {
    /// Takes the bytes as they arrived.
    ///
    /// # Errors
    /// There are none, or too many.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Result<Self, VerifyError> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(VerifyError::Empty),
            n if n > MAX_SPEC_BYTES => Err(VerifyError::TooLarge(n)),
            _ => Ok(Self { bytes }),
        }
    }
}

/// Verifies a spec: parse, key format, trusted key, signature, time window, limits (P4). Only the forms that the key
/// may use are tried. Uniqueness of the nonce is the store's part.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(
    signed: SignedSpec,
    keys: &dyn KeySource,
    now: Timestamp,
    freshness: Freshness,
) -> Result<VerifiedSpec, VerifyError> {
    let claimed = Claimed::open(&signed)?;
    let key = trusted(&claimed, keys, now)?;
    let (profile, canonical) =
        claimed.held(|profile| may_use(&key, profile)).ok_or(VerifyError::SignatureMismatch)?;
    let job = claimed.job()?;
    fresh(&normalise::stamps(&job)?, now, freshness)?;
    let digest = Sha256Digest::of(&signed.bytes);
    let spec = normalise::job(&job, digest)?;
    if let Some(wrapper) = claimed.wrapper() {
        wrapper::agrees(wrapper, &job, &spec)?;
    }
    let mut signature_point = [0; 32];
    signature_point.copy_from_slice(&claimed.signature[..32]);
    Ok(VerifiedSpec {
        digest,
        bytes: signed.bytes,
        spec,
        key: key.kid,
        public_key: key.public_key,
        weight: key.weight,
        quota: key.quota,
        profile,
        signature_point,
        canonical_digest: Sha256Digest::of(&canonical),
    })
}

/// The key with its policy, if it may sign now (P5).
pub(crate) fn trusted(
    claimed: &Claimed,
    keys: &dyn KeySource,
    now: Timestamp,
) -> Result<TrustedKey, VerifyError> {
    may_sign(keys.key(claimed.key.bytes()), now)
}

/// A key that was looked up, if it may sign now (P5).
pub(crate) fn may_sign(found: Option<TrustedKey>, now: Timestamp) -> Result<TrustedKey, VerifyError> {
    let key = found.ok_or(VerifyError::Trust(Trust::Unknown))?;
    if key.status == KeyStatus::Revoked {
        return Err(VerifyError::Trust(Trust::Revoked));
    }
    if key.not_before.is_some_and(|from| now < from) {
        return Err(VerifyError::Trust(Trust::NotYetValid));
    }
    if key.not_after.is_some_and(|to| now > to) {
        return Err(VerifyError::Trust(Trust::Expired));
    }
    Ok(key)
}

/// Older profiles are per key and off by default (P2).
pub(crate) fn may_use(key: &TrustedKey, profile: Profile) -> bool {
    profile.is_default() || key.profiles.contains(&profile)
}

fn fresh(stamps: &Stamps, now: Timestamp, freshness: Freshness) -> Result<(), VerifyError> {
    let Freshness::Window { .. } = freshness else { return Ok(()) };
    let signed_at = stamps.signed_at.ok_or(VerifyError::MissingField("metadata.timestamp"))?;
    stamps.nonce.as_ref().ok_or(VerifyError::MissingField("metadata.nonce"))?;
    fresh_at(signed_at, now, freshness)
}

/// Whether what was signed then is taken now.
pub(crate) fn fresh_at(
    signed_at: Timestamp,
    now: Timestamp,
    freshness: Freshness,
) -> Result<(), VerifyError> {
    let Freshness::Window { max_age, max_skew } = freshness else { return Ok(()) };
    let within = |from: Timestamp, to: Timestamp, limit: Duration| {
        to.duration_since(from) <= limit.try_into().unwrap_or(jiff::SignedDuration::MAX)
    };
    if signed_at > now && !within(now, signed_at, max_skew) {
        return Err(VerifyError::FromTheFuture);
    }
    if signed_at < now && !within(signed_at, now, max_age) {
        return Err(VerifyError::TooOld);
    }
    Ok(())
}
