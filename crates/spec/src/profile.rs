//! Signing profiles: which members are signed, and in which dialect. Only JCS and DSSE are on by default (P2).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    VerifyError,
    canonical::{Dialect, canonicalize, canonicalize_members},
    dsse,
    parse::parse_strict,
};

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
    /// Older: without both keys; Go dialect, or JavaScript's, which some browsers used.
    L4,
    /// A DSSE envelope: the payload's bytes as sent.
    #[serde(rename = "DSSE")]
    Dsse,
}

/// No such profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown profile {0:?}; known are P (JCS), L1, L2, L3, L4, DSSE")]
pub struct UnknownProfile(String);

/// What stands where a key is signed as the empty string.
static EMPTY: Value = Value::String(String::new());

/// The forms in which a JSON value may be signed, the default first. L4 has two, which differ only in escapes.
pub(crate) const FORMS: [(Profile, Dialect); 6] = [
    (Profile::Jcs, Dialect::JavaScript),
    (Profile::L1, Dialect::Go),
    (Profile::L2, Dialect::Go),
    (Profile::L3, Dialect::Go),
    (Profile::L4, Dialect::Go),
    (Profile::L4, Dialect::JavaScript),
];

impl Profile {
    /// Every profile, the default first.
    pub const ALL: [Self; 6] = [Self::Jcs, Self::L1, Self::L2, Self::L3, Self::L4, Self::Dsse];

    /// Whether any trusted key may use it. The others must be listed for a key in its ring (P2).
    #[must_use]
    pub const fn is_default(self) -> bool {
        matches!(self, Self::Jcs | Self::Dsse)
    }

    /// The bytes that a signer signs for this job, a JSON text; of L4, in the Go dialect. For DSSE the text is the
    /// payload, and the bytes are its pre-authentication encoding.
    ///
    /// # Errors
    /// The text is not strict JSON.
    pub fn signed_bytes(self, job: &[u8]) -> Result<Vec<u8>, VerifyError> {
        let value = parse_strict(job)?;
        Ok(match self {
            Self::Dsse => dsse::pre_authentication_encoding(job),
            _ => self.form(&value, self.dialect()),
        })
    }

    /// The dialect that its signers use.
    pub(crate) const fn dialect(self) -> Dialect {
        if matches!(self, Self::Jcs) { Dialect::JavaScript } else { Dialect::Go }
    }

    /// The signed bytes of a value. The value itself stays as it arrived (P1).
    pub(crate) fn form(self, value: &Value, dialect: Dialect) -> Vec<u8> {
        let Some(top) = value.as_object() else { return canonicalize(value, dialect) };
        let constraints = if self == Self::Jcs { without_zero_rate(top) } else { None };
        let mut members: Vec<(&str, &Value)> = Vec::with_capacity(top.len() + 2);
        for (key, value) in top.iter().filter(|(key, _)| !self.leaves_out(key)) {
            let value = constraints.as_ref().filter(|_| key == "constraints").unwrap_or(value);
            members.push((key, value));
        }
        if matches!(self, Self::L2 | Self::L3) {
            members.extend([("signature", &EMPTY), ("public_key", &EMPTY)]);
        }
        canonicalize_members(members, dialect)
    }

    fn leaves_out(self, member: &str) -> bool {
        match member {
            "signature" | "public_key" => true,
            "id" => matches!(self, Self::Jcs | Self::L1 | Self::L2),
            "created_at" => self == Self::Jcs,
            _ => false,
        }
    }
}

/// The constraints as profile P signs them, if that is not how they are: 0 and no rate at all are the same there.
fn without_zero_rate(top: &Map<String, Value>) -> Option<Value> {
    let constraints = top.get("constraints")?.as_object()?;
    if constraints.get("min_success_rate")?.as_f64()? != 0.0 {
        return None;
    }
    let mut constraints = constraints.clone();
    constraints.remove("min_success_rate");
    Some(Value::Object(constraints))
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
        let found = Self::ALL.into_iter().find(|profile| profile.to_string().eq_ignore_ascii_case(text));
        found.ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}
