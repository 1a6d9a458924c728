//! Why a spec is refused, in words and in stable codes.

use std::{borrow::Cow, fmt};

use crate::{Profile, limits::MAX_SPEC_BYTES};

/// Why a spec is refused. [`VerifyError::code`] is stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    #[error("{} is missing; {}", .0, remedy(.0))]
    MissingField(&'static str),
    /// A member is malformed.
    #[error("{field} {reason}")]
    InvalidField {
        /// Its path.
        field: String,
        /// What was found, and what must be there.
        reason: String,
    },
    /// A limit is exceeded.
    #[error("{field} has {found} {unit}, at most {limit} are allowed")]
    LimitExceeded {
        /// Its path.
        field: String,
        /// What was found.
        found: usize,
        /// What is allowed.
        limit: usize,
        /// What was counted, such as `characters`.
        unit: &'static str,
    },
    /// The key may not sign.
    #[error("the signing key is {}; {}", .0, .0.remedy())]
    Trust(Trust),
    /// The signature does not hold in any form that the key may use.
    #[error(
        "the signature does not hold: the job was changed after signing, or signed in a form that this key may \
         not use; `beacon verify` tells which"
    )]
    SignatureMismatch,
    /// It holds only in a form that this key may not use.
    #[error(
        "the signature holds only in the older form {0}, which the key ring does not list in this key's profiles"
    )]
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
    /// A stable code for programs; for errors of one member, with its path after a colon.
    #[must_use]
    pub fn code(&self) -> Cow<'static, str> {
        match self {
            Self::Empty => "empty".into(),
            Self::TooLarge(_) => "too_large".into(),
            Self::InvalidJson(_) => "invalid_json".into(),
            Self::MissingField(field) => format!("missing_field:{field}").into(),
            Self::InvalidField { field, .. } => format!("invalid_field:{field}").into(),
            Self::LimitExceeded { field, .. } => format!("limit_exceeded:{field}").into(),
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

fn remedy(field: &str) -> &'static str {
    match field {
        "signature" | "public_key" | "metadata.timestamp" | "metadata.nonce" => {
            "sign the job with `beacon sign`"
        }
        "payload" => "the envelope is cut",
        _ => "`beacon schema` describes every member",
    }
}

impl Trust {
    const fn remedy(self) -> &'static str {
        match self {
            Self::Unknown => "add it to the key ring if you trust it",
            Self::Revoked => "sign the job with another key",
            Self::Expired => "renew it in the key ring, or sign with another key",
            Self::NotYetValid => "check its not_before in the key ring, and the clock",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
        })
    }
}

/// A stranger's text for a message: quoted, escaped, and cut when it is long.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
