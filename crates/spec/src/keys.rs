//! Trusted keys: who may sign, with which profiles, and until when (P5).

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::{KeyId, Profile, Quota, Timestamp, public_key::PublicKey, verify_error::quoted};

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
    /// What it may have, unless an operator sets something else at run time.
    pub quota: Quota,
    /// Whether it is an example whose secret is published; services refuse such a ring.
    pub example: bool,
}

impl TrustedKey {
    /// Reads one entry of a ring, an object.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, KeyRingError> {
        let mut ring = KeyRing::default();
        ring.add(serde_json::from_slice(json)?).map_err(|reason| KeyRingError::Entry { index: 0, reason })?;
        Ok(ring.by_key.into_values().next().expect("what was added is there"))
    }
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

    /// Every key, in no order.
    fn all(&self) -> Vec<TrustedKey>;
}

/// A ring of trusted keys, loaded whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    by_key: HashMap<[u8; 32], TrustedKey>,
    kids: HashSet<KeyId>,
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
    quota: Quota,
    #[serde(default)]
    example: bool,
}

const fn one() -> u32 {
    1
}

/// The public half of the key whose secret stands in `examples/` and in the test vectors, padded base64. Whoever trusts it
/// trusts everybody, with or without the mark.
pub const PUBLISHED_KEY: &str = "IVL40Zt5HSRFMkLhXy6rbLfP+ntqXtMAl5YOBpiB2xI=";

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

    /// Whether it trusts nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    fn add(&mut self, entry: Entry) -> Result<(), String> {
        let kid = KeyId::new(&entry.kid).map_err(|error| error.to_string())?;
        let public_key =
            PublicKey::from_base64(&entry.public_key).map_err(|reason| format!("public_key {reason}"))?;
        if !self.kids.insert(kid.clone()) {
            return Err(format!("the kid {} is there twice", quoted(kid.as_str())));
        }
        if matches!((entry.not_before, entry.not_after), (Some(from), Some(to)) if from > to) {
            return Err("not_before is later than not_after".to_owned());
        }
        if entry.weight == 0 {
            return Err("weight must be at least 1".to_owned());
        }
        let example = entry.example || entry.public_key == PUBLISHED_KEY;
        let Entry { status, not_before, not_after, profiles, weight, quota, .. } = entry;
        let public_key = *public_key.bytes();
        let key =
            TrustedKey { kid, public_key, status, not_before, not_after, profiles, weight, quota, example };
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

    fn all(&self) -> Vec<TrustedKey> {
        self.by_key.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    /// The public key of a seed of 32 equal bytes. Such keys are for tests only.
    fn key(byte: u8) -> String {
        SigningKey::from_seed([byte; 32]).public_key_base64()
    }

    fn check(entries: &str, expected: &str) {
        let refused = KeyRing::parse(entries.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(expected), "{entries}: {refused}");
    }

    // P5
    #[test]
    fn a_key_whose_secret_is_published_is_an_example_without_the_mark_too() {
        let secret = include_str!("../../../examples/EXAMPLE-ONLY.key");
        let published = SigningKey::from_seed_base64(secret.trim()).unwrap().public_key_base64();
        let ring = |key: &str| {
            KeyRing::parse(format!(r#"[{{ "kid": "a", "public_key": "{key}" }}]"#).as_bytes()).unwrap()
        };

        assert_eq!(published, PUBLISHED_KEY);
        assert!(ring(&published).holds_example_key());
        assert!(!ring(&SigningKey::from_seed([1; 32]).public_key_base64()).holds_example_key());
    }

    #[test]
    fn a_ring_with_one_wrong_entry_is_refused_whole_and_says_which() {
        let (a, b) = (key(1), key(2));
        let unpadded = a.trim_end_matches('=');

        check(r#"[{"kid":"a","public_key":"AAAA"}]"#, "key 0 of the ring: public_key must be 32 bytes");
        check(&format!(r#"[{{"kid":"a","public_key":"{unpadded}"}}]"#), "padded base64");
        check(&format!(r#"[{{"kid":"a","public_key":"{a}"}},{{"kid":"b","public_key":"{a}"}}]"#), "key 1");
        check(
            &format!(r#"[{{"kid":"a","public_key":"{a}"}},{{"kid":"a","public_key":"{b}"}}]"#),
            "\"a\" is there twice",
        );
        check(&format!(r#"[{{"kid":"a","public_key":"{a}","status":"maybe"}}]"#), "not a key ring");
        check(&format!(r#"[{{"kid":"a","public_key":"{a}","surprise":1}}]"#), "surprise");
        check(&format!(r#"[{{"kid":"a","public_key":"{a}","not_before":"soon"}}]"#), "not a key ring");
        check(&format!(r#"[{{"kid":"a","public_key":"{a}","profiles":["L9"]}}]"#), "L9");
        check(&format!(r#"[{{"kid":"a","public_key":"{a}","weight":0}}]"#), "weight must be at least 1");
        check(&format!(r#"[{{"kid":"","public_key":"{a}"}}]"#), "key 0 of the ring: a key id must have");
        check(&format!(r#"[{{"public_key":"{a}"}}]"#), "missing field `kid`");
        check(&format!(r#"{{"trusted_keys":[{{"kid":"a","public_key":"{a}"}}]}}"#), "not a key ring");
        check(
            &format!(
                r#"[{{"kid":"a","public_key":"{a}","not_before":"2026-02-01T00:00:00Z","not_after":"2026-01-01T00:00:00Z"}}]"#
            ),
            "not_before is later than not_after",
        );
    }

    // P3, P5
    #[test]
    fn a_ring_with_a_key_under_which_anybody_can_sign_is_refused() {
        // RFC 8032: the neutral point, y = 1.
        check(
            r#"[{"kid":"a","public_key":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]"#,
            "a point of small order",
        );
        // The same point with y = p + 1.
        check(
            r#"[{"kid":"a","public_key":"7v///////////////////////////////////////38="}]"#,
            "a second spelling",
        );
        check(
            r#"[{"kid":"a","public_key":"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]"#,
            "no point of Ed25519",
        );
    }

    #[test]
    fn a_key_without_a_policy_is_active_and_may_use_the_default_profiles_only() {
        let ring =
            KeyRing::parse(format!(r#"[{{"kid":"a","public_key":"{}","status":""}}]"#, key(1)).as_bytes());

        let found = ring.unwrap().key(&SigningKey::from_seed([1; 32]).public_key()).unwrap();

        assert_eq!((found.status, found.profiles, found.weight), (KeyStatus::Active, vec![], 1));
    }
}
