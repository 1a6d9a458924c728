//! Trusted keys: who may sign, with which profiles, and until when (P5).

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{KeyId, Profile, Timestamp};

/// One trusted key with its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// Its label.
    pub kid: KeyId,
    /// 32 raw bytes.
    pub public_key: [u8; 32],
    /// Whether it was revoked.
    pub status: KeyStatus,
    /// Not valid before then.
    pub not_before: Option<Timestamp>,
    /// Not valid after then.
    pub not_after: Option<Timestamp>,
    /// Older profiles that it may use, beside JCS and DSSE.
    pub profiles: Vec<Profile>,
    /// Its share against other keys; 1 is normal.
    pub weight: u32,
    /// Whether it is an example whose secret is published; services refuse such a ring.
    pub example: bool,
}

/// Whether a key was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// In use.
    #[default]
    #[serde(alias = "")]
    Active,
    /// Never again.
    Revoked,
}

/// Finds a key.
pub trait KeySource: Send + Sync {
    /// The key with its policy, or none.
    fn key(&self, public_key: &[u8; 32]) -> Option<TrustedKey>;
}

/// A ring of trusted keys, loaded whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    by_key: HashMap<[u8; 32], TrustedKey>,
}

/// A ring that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// Not the format.
    #[error("not a key ring (a JSON array of {{kid, public_key, status, not_before?, not_after?}}): {0}")]
    Format(#[from] serde_json::Error),
    /// One entry is wrong.
    #[error("key {index} of the ring: {reason}")]
    Entry {
        /// From 0.
        index: usize,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kid: String,
    public_key: String,
    #[serde(default)]
    status: KeyStatus,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    #[serde(default)]
    profiles: Vec<Profile>,
    #[serde(default = "one")]
    weight: u32,
    #[serde(default)]
    example: bool,
}

const fn one() -> u32 {
    1
}

impl KeyRing {
    /// Reads the array form. Any wrong entry refuses the ring.
    ///
    /// # Errors
    /// Which entry is wrong, and why.
    pub fn parse(json: &[u8]) -> Result<Self, KeyRingError> {
        let entries: Vec<Entry> = serde_json::from_slice(json)?;
        let mut ring = Self::default();
        for (index, entry) in entries.into_iter().enumerate() {
            ring.add(entry).map_err(|reason| KeyRingError::Entry { index, reason })?;
        }
        Ok(ring)
    }

    /// Whether any key is an example whose secret is published.
    #[must_use]
    pub fn holds_example_key(&self) -> bool {
        self.by_key.values().any(|key| key.example)
    }

    fn add(&mut self, entry: Entry) -> Result<(), String> {
        let kid = KeyId::new(&entry.kid).map_err(|error| error.to_string())?;
        let public_key =
            decode_key(&entry.public_key).ok_or("public_key must be 32 bytes in padded base64")?;
        if self.by_key.values().any(|key| key.kid == kid) {
            return Err(format!("the kid {kid} is there twice"));
        }
        if matches!((entry.not_before, entry.not_after), (Some(from), Some(to)) if from > to) {
            return Err("not_before is later than not_after".to_owned());
        }
        if entry.weight == 0 {
            return Err("weight must be at least 1".to_owned());
        }
        let Entry { status, not_before, not_after, profiles, weight, example, .. } = entry;
        let key = TrustedKey { kid, public_key, status, not_before, not_after, profiles, weight, example };
        match self.by_key.insert(public_key, key) {
            Some(_) => Err("the public_key is there twice".to_owned()),
            None => Ok(()),
        }
    }
}

impl KeySource for KeyRing {
    fn key(&self, public_key: &[u8; 32]) -> Option<TrustedKey> {
        self.by_key.get(public_key).cloned()
    }
}

pub(crate) fn decode_key(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "IVL4HnGxgBsh9Ui0K8w4zvCxXVj0Oz9E4zkz9fOUTz8=";

    fn refused(json: &str) -> String {
        KeyRing::parse(json.as_bytes()).unwrap_err().to_string()
    }

    // P5
    #[test]
    fn a_ring_with_one_wrong_entry_is_refused_whole_and_says_which() {
        let cases = [
            (r#"[{"kid":"a","public_key":"AAAA"}]"#.to_owned(), "key 0"),
            (format!(r#"[{{"kid":"a","public_key":"{KEY}"}},{{"kid":"b","public_key":"{KEY}"}}]"#), "key 1"),
            (format!(r#"[{{"kid":"a","public_key":"{KEY}","status":"maybe"}}]"#), "not a key ring"),
            (format!(r#"[{{"kid":"a","public_key":"{KEY}","surprise":1}}]"#), "surprise"),
        ];
        for (json, expected) in cases {
            assert!(refused(&json).contains(expected), "{json}: {}", refused(&json));
        }
    }
}
