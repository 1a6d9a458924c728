//! Verification: the one pipeline for every way in, and the only maker of a [`VerifiedSpec`] (P4).

use std::{borrow::Cow, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;

use crate::{
    IdError, KeySource, Profile, Sha256Digest, SignedSpec, Timestamp, UnknownRegion, VerifiedSpec,
    canonical::parse_strict,
    dsse,
    keys::{KeyStatus, TrustedKey, decode_key},
    limits::MAX_SPEC_BYTES,
    normalise, wrapper,
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

/// Why a spec is refused. [`VerifyError::code`] is stable.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nothing there.
    #[error("the spec is empty")]
    Empty,
    /// Too long.
    #[error("the spec has {0} bytes, at most {MAX_SPEC_BYTES} are allowed; split the job")]
    TooLarge(usize),
    /// Not strict JSON.
    #[error("not strict JSON: {0}")]
    InvalidJson(String),
    /// A member is missing.
    #[error("{0} is missing; sign the job with `beacon sign`")]
    MissingField(&'static str),
    /// A member is malformed.
    #[error("{field}: {reason}")]
    InvalidField {
        /// Its path.
        field: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A limit is exceeded.
    #[error("{field} has {found}, at most {limit} are allowed")]
    LimitExceeded {
        /// Its path.
        field: String,
        /// What was found.
        found: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The key may not sign.
    #[error("the signing key is {0}; add or renew it in the key ring")]
    Trust(Trust),
    /// The signature does not hold.
    #[error("the signature does not hold: the job was changed after signing, or signed in another form")]
    SignatureMismatch,
    /// It holds only in a form that this key may not use.
    #[error("the signature holds only in the older form {0}, which the key ring does not allow for this key")]
    ProfileNotAllowed(Profile),
    /// Too old.
    #[error("the signature is too old; sign the job again")]
    TooOld,
    /// From the future.
    #[error("the time stamp lies in the future; check the signer's clock")]
    FromTheFuture,
    /// The wrapper says something else than what was signed.
    #[error("{0} of the wrapper contradicts the signed job; what runs is only what was signed")]
    WrapperContradicts(&'static str),
}

/// Why a key may not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is in no ring.
    Unknown,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
}

impl VerifyError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> Cow<'static, str> {
        match self {
            Self::Empty => "empty".into(),
            Self::TooLarge(_) => "too_large".into(),
            Self::InvalidJson(_) => "invalid_json".into(),
            Self::MissingField(field) => format!("missing_field:{field}").into(),
            Self::InvalidField { field, .. } => format!("invalid_field:{field}").into(),
            Self::LimitExceeded { .. } => "limit_exceeded".into(),
            Self::Trust(trust) => format!("trust_violation:{trust}").into(),
            Self::SignatureMismatch => "signature_mismatch".into(),
            Self::ProfileNotAllowed(_) => "profile_not_allowed".into(),
            Self::TooOld => "timestamp_invalid:too_old".into(),
            Self::FromTheFuture => "timestamp_invalid:too_far_in_future".into(),
            Self::WrapperContradicts(_) => "wrapper_contradicts".into(),
        }
    }

    pub(crate) fn field(field: impl Into<String>, reason: impl ToString) -> Self {
        Self::InvalidField { field: field.into(), reason: reason.to_string() }
    }
}

impl std::fmt::Display for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
        })
    }
}

impl From<IdError> for VerifyError {
    fn from(error: IdError) -> Self {
        Self::field("id", error)
    }
}

impl From<UnknownRegion> for VerifyError {
    fn from(error: UnknownRegion) -> Self {
        Self::field("regions", error)
    }
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

/// What was signed, before anybody judged it.
pub(crate) struct Claimed {
    /// The signed value.
    pub(crate) value: Value,
    /// The envelope around it, to be held against it.
    wrapper: Option<Value>,
    pub(crate) public_key: [u8; 32],
    pub(crate) signature: [u8; 64],
    /// Possible signed bytes, the default form first.
    pub(crate) forms: Vec<(Profile, Vec<u8>)>,
}

/// Verifies a spec: parse, key format, trusted key, signature, time window, limits (P4).
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(
    signed: SignedSpec,
    keys: &dyn KeySource,
    now: Timestamp,
    freshness: Freshness,
) -> Result<VerifiedSpec, VerifyError> {
    let claimed = claimed(&signed)?;
    let key = keys.key(&claimed.public_key).ok_or(VerifyError::Trust(Trust::Unknown))?;
    trusted(&key, now)?;
    let (profile, canonical) = matching_form(&claimed)?;
    if !matches!(profile, Profile::Jcs | Profile::Dsse) && !key.profiles.contains(&profile) {
        return Err(VerifyError::ProfileNotAllowed(profile));
    }
    let spec = normalise::job(&claimed.value)?;
    fresh(&spec, now, freshness)?;
    if let Some(wrapper) = &claimed.wrapper {
        wrapper::agrees(wrapper, &spec)?;
    }
    let mut signature_point = [0; 32];
    signature_point.copy_from_slice(&claimed.signature[..32]);
    Ok(VerifiedSpec {
        digest: Sha256Digest::of(&signed.bytes),
        bytes: signed.bytes,
        spec,
        key: key.kid,
        weight: key.weight,
        profile,
        signature_point,
        canonical_digest: Sha256Digest::of(canonical),
    })
}

/// Opens the envelope, whichever it is.
pub(crate) fn claimed(signed: &SignedSpec) -> Result<Claimed, VerifyError> {
    let outer = parse_strict(&signed.bytes).map_err(|error| VerifyError::InvalidJson(error.to_string()))?;
    if outer.get("payloadType").is_some() {
        return dsse::open(&outer);
    }
    let (value, wrapper) = match outer.get("jobspec") {
        Some(inner) => (inner.clone(), Some(outer)),
        None => (outer, None),
    };
    let (public_key, signature) = (text(&value, "public_key")?, text(&value, "signature")?);
    let public_key = decode_key(public_key)
        .ok_or_else(|| VerifyError::field("public_key", "must be 32 bytes in padded base64"))?;
    let signature = decode_signature(signature)
        .ok_or_else(|| VerifyError::field("signature", "must be 64 bytes in padded base64"))?;
    let forms = Profile::OF_VALUES.map(|profile| (profile, profile.signed_bytes(&value))).to_vec();
    Ok(Claimed { value, wrapper, public_key, signature, forms })
}

impl Claimed {
    pub(crate) fn dsse(value: Value, public_key: [u8; 32], signature: [u8; 64], signed: Vec<u8>) -> Self {
        Self { value, wrapper: None, public_key, signature, forms: vec![(Profile::Dsse, signed)] }
    }
}

fn text<'a>(value: &'a Value, field: &'static str) -> Result<&'a str, VerifyError> {
    let text = value.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or(VerifyError::MissingField(field))
}

pub(crate) fn decode_signature(text: &str) -> Option<[u8; 64]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// The first form under which the signature holds (P3: strict Ed25519).
pub(crate) fn matching_form(claimed: &Claimed) -> Result<(Profile, &[u8]), VerifyError> {
    let key = VerifyingKey::from_bytes(&claimed.public_key)
        .ok()
        .filter(|key| !key.is_weak())
        .ok_or_else(|| VerifyError::field("public_key", "is no valid Ed25519 point"))?;
    let signature = Signature::from_bytes(&claimed.signature);
    let held = claimed.forms.iter().find(|(_, bytes)| key.verify_strict(bytes, &signature).is_ok());
    held.map(|(profile, bytes)| (*profile, bytes.as_slice())).ok_or(VerifyError::SignatureMismatch)
}

pub(crate) fn trusted(key: &TrustedKey, now: Timestamp) -> Result<(), VerifyError> {
    if key.status == KeyStatus::Revoked {
        return Err(VerifyError::Trust(Trust::Revoked));
    }
    if key.not_before.is_some_and(|from| now < from) {
        return Err(VerifyError::Trust(Trust::NotYetValid));
    }
    if key.not_after.is_some_and(|to| now > to) {
        return Err(VerifyError::Trust(Trust::Expired));
    }
    Ok(())
}

fn fresh(spec: &crate::JobSpec, now: Timestamp, freshness: Freshness) -> Result<(), VerifyError> {
    let Freshness::Window { max_age, max_skew } = freshness else { return Ok(()) };
    let signed_at = spec.signed_at.ok_or(VerifyError::MissingField("metadata.timestamp"))?;
    spec.nonce.as_ref().ok_or(VerifyError::MissingField("metadata.nonce"))?;
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
