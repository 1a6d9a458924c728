//! Signing profiles: which members are signed, and in which dialect. Only JCS is on by default (P2).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::{Dialect, canonicalize};

/// How the signed bytes follow from the received value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Profile {
    /// RFC 8785 without `id`, `created_at`, `signature`, `public_key` and a `constraints.min_success_rate` of 0.
    #[serde(rename = "P", alias = "jcs")]
    Jcs,
    /// Older: without `id` and both keys, Go dialect.
    L1,
    /// Older: without `id`, both keys empty, Go dialect.
    L2,
    /// Older: everything, both keys empty, Go dialect.
    L3,
    /// Older: without both keys, Go dialect.
    L4,
    /// A DSSE envelope: the payload's bytes as sent.
    #[serde(rename = "DSSE")]
    Dsse,
}

/// No such profile.
#[derive(Debug, thiserror::Error)]
#[error("unknown profile {0:?}; known are P (JCS), L1, L2, L3, L4")]
pub struct UnknownProfile(String);

impl Profile {
    /// Those that sign a JSON value, the default first.
    pub(crate) const OF_VALUES: [Self; 5] = [Self::Jcs, Self::L1, Self::L2, Self::L3, Self::L4];

    /// The bytes that are signed. The value itself stays as it arrived (P1).
    pub(crate) fn signed_bytes(self, value: &Value) -> Vec<u8> {
        let mut value = value.clone();
        let Some(top) = value.as_object_mut() else { return canonicalize(&value, Dialect::JavaScript) };
        if matches!(self, Self::Jcs | Self::L1 | Self::L2) {
            top.remove("id");
        }
        if self == Self::Jcs {
            top.remove("created_at");
            if let Some(constraints) = top.get_mut("constraints").and_then(Value::as_object_mut)
                && constraints.get("min_success_rate").and_then(Value::as_f64) == Some(0.0)
            {
                constraints.remove("min_success_rate");
            }
        }
        for key in ["signature", "public_key"] {
            top.remove(key);
            if matches!(self, Self::L2 | Self::L3) {
                top.insert(key.to_owned(), Value::String(String::new()));
            }
        }
        canonicalize(&value, if self == Self::Jcs { Dialect::JavaScript } else { Dialect::Go })
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Jcs => "P",
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::L4 => "L4",
            Self::Dsse => "DSSE",
        })
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        if text.eq_ignore_ascii_case("jcs") {
            return Ok(Self::Jcs);
        }
        let found =
            Self::OF_VALUES.into_iter().find(|profile| profile.to_string().eq_ignore_ascii_case(text));
        found.ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}
