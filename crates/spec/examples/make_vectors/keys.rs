//! The keys and rings of the vectors. Their seeds are published: they are for tests only, never trust them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use beacon_spec::{KeyRing, SigningKey};
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

/// When the vectors are judged.
pub(crate) const NOW: &str = "2026-11-24T12:00:00Z";
/// The window of a service in the vectors.
pub(crate) const MAX_AGE_S: u64 = 600;
/// How far ahead a signer's clock may be.
pub(crate) const MAX_SKEW_S: u64 = 300;

/// A key of the vectors: its seed is 32 times the same byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key(pub(crate) u8);

/// Trusted in both rings.
pub(crate) const TEST: Key = Key(0x42);
/// In no ring.
pub(crate) const STRANGER: Key = Key(0x43);
/// Revoked.
pub(crate) const REVOKED: Key = Key(0x44);
/// Its time is over.
pub(crate) const EXPIRED: Key = Key(0x45);
/// Its time has not come.
pub(crate) const EARLY: Key = Key(0x46);

impl Key {
    /// The library's key.
    pub(crate) fn signing(self) -> SigningKey {
        SigningKey::from_seed([self.0; 32])
    }

    /// Padded base64 of the public key.
    pub(crate) fn public(self) -> String {
        self.signing().public_key_base64()
    }

    /// The raw signature of these bytes.
    pub(crate) fn sign(self, bytes: &[u8]) -> [u8; 64] {
        ed25519_dalek::SigningKey::from_bytes(&[self.0; 32]).sign(bytes).to_bytes()
    }

    /// The same in padded base64.
    pub(crate) fn sign_base64(self, bytes: &[u8]) -> String {
        STANDARD.encode(self.sign(bytes))
    }
}

/// The rings by name, as a key ring file has them.
pub(crate) fn rings() -> Value {
    let year = |year: u16| format!("{year}-01-01T00:00:00Z");
    let older = json!(["L1", "L2", "L3", "L4"]);
    json!({
        "default": [{ "kid": "test-only", "public_key": TEST.public(), "status": "active", "example": true }],
        "older": [{ "kid": "test-only", "public_key": TEST.public(), "status": "active", "profiles": older, "example": true }],
        "policies": [
            { "kid": "revoked", "public_key": REVOKED.public(), "status": "revoked", "example": true },
            { "kid": "expired", "public_key": EXPIRED.public(), "not_after": year(2026), "example": true },
            { "kid": "early", "public_key": EARLY.public(), "not_before": year(2027), "example": true },
        ],
    })
}

/// One ring.
pub(crate) fn ring(name: &str) -> KeyRing {
    KeyRing::parse(rings()[name].to_string().as_bytes()).expect("the rings are written above")
}

/// A file of cases with all that judging them takes.
pub(crate) fn file(about: &str, cases: &[Value]) -> Value {
    json!({
        "about": format!("{about} TEST KEYS ONLY: every seed is 32 times one byte (0x42 of the key test-only)."),
        "now": NOW,
        "window": { "max_age_s": MAX_AGE_S, "max_skew_s": MAX_SKEW_S },
        "rings": rings(),
        "cases": cases,
    })
}
