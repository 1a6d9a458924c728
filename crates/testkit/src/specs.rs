//! Signed jobs for tests, made with a key that is for tests only.

use beacon_spec::{
    Freshness, KeyRing, Profile, SignOptions, SignedSpec, SigningKey, Timestamp, VerifiedSpec, sign_spec,
    verify,
};
use serde_json::json;

/// The seed of the test key: 32 bytes of 0x42. Never trust it.
const TEST_SEED: &str = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=";

/// The test key.
///
/// # Panics
/// Never: the seed is a constant.
#[must_use]
pub fn test_key() -> SigningKey {
    SigningKey::from_seed_base64(TEST_SEED).expect("the seed is a constant")
}

/// A ring that trusts the test key.
///
/// # Panics
/// Never: the ring is a constant.
#[must_use]
pub fn test_ring() -> KeyRing {
    let ring = json!([{ "kid": "test", "public_key": test_key().public_key_base64(), "example": true }]);
    KeyRing::parse(ring.to_string().as_bytes()).expect("the ring is a constant")
}

/// A verified job of these questions, models and regions.
///
/// # Panics
/// If it is no valid job.
#[must_use]
pub fn verified_spec(name: &str, questions: &[&str], models: &[&str], regions: &[&str]) -> VerifiedSpec {
    let mut job = json!({
        "id": name, "version": "v1", "benchmark": { "name": "test" }, "questions": questions, "models": models,
        "constraints": { "regions": regions }, "metadata": { "nonce": name },
    });
    let signed = sign_spec(&mut job, &test_key(), Profile::Jcs, &SignOptions::default())
        .expect("the job is an object");
    let signed = SignedSpec::new(signed).expect("the job is short");
    verify(signed, &test_ring(), Timestamp::UNIX_EPOCH, Freshness::NotedOnly).expect("the test key signed it")
}
