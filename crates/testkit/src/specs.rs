//! Signed jobs for tests, made with keys that are for tests only.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use beacon_spec::{
    Freshness, KeyRing, Profile, SignOptions, SignedSpec, SigningKey, Timestamp, VerifiedSpec, inspect,
    sign_spec, verify,
};
use curve25519_dalek::{EdwardsPoint, Scalar};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

/// The test key: 32 bytes of 0x42. Never trust it.
///
/// # Panics
/// Never: the seed is a constant.
#[must_use]
pub fn test_key() -> SigningKey {
    key_of(0x42)
}

/// A ring that trusts the test key.
///
/// # Panics
/// Never: the ring is a constant.
#[must_use]
pub fn test_ring() -> KeyRing {
    SpecBuilder::new("ring").ring()
}

/// A verified job of these questions, models and regions, with its name as the nonce.
///
/// # Panics
/// If it is no valid job.
#[must_use]
pub fn verified_spec(name: &str, questions: &[&str], models: &[&str], regions: &[&str]) -> VerifiedSpec {
    SpecBuilder::new(name).questions(questions).models(models).regions(regions).verified()
}

/// A job in the making: one question, the model `m`, the region us-east, the test key.
#[derive(Debug, Clone)]
pub struct SpecBuilder {
    job: Value,
    seed: u8,
    kid: String,
    weight: u32,
}

impl SpecBuilder {
    /// A job of this name, which is its nonce too.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let job = json!({
            "id": name, "version": "v1", "benchmark": { "name": "test" }, "questions": ["What is one?"],
            "models": ["m"], "constraints": { "regions": ["us-east"] }, "metadata": { "nonce": name },
        });
        Self { job, seed: 0x42, kid: "test".to_owned(), weight: 1 }
    }

    /// Asks these questions.
    #[must_use]
    pub fn questions(mut self, questions: &[&str]) -> Self {
        self.job["questions"] = json!(questions);
        self
    }

    /// Asks so many questions.
    #[must_use]
    pub fn question_count(mut self, n: u32) -> Self {
        self.job["questions"] = (1..=n).map(|i| format!("What is number {i}?")).collect();
        self
    }

    /// Asks these models.
    #[must_use]
    pub fn models(mut self, models: &[&str]) -> Self {
        self.job["models"] = json!(models);
        self
    }

    /// Asks in these regions.
    #[must_use]
    pub fn regions(mut self, regions: &[&str]) -> Self {
        self.job["constraints"]["regions"] = json!(regions);
        self
    }

    /// Asks each cell so often.
    #[must_use]
    pub fn runs(mut self, runs: u32) -> Self {
        self.job["runs"] = json!(runs);
        self
    }

    /// Sets a member of `constraints`.
    #[must_use]
    pub fn constraint(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.job["constraints"][name] = value.into();
        self
    }

    /// Tells this address of these events; of the job's end, if none is named.
    #[must_use]
    pub fn webhook(mut self, url: &str, events: &[&str]) -> Self {
        let webhook = json!({ "url": url, "events": events });
        match self.job["webhooks"].as_array_mut() {
            Some(webhooks) => webhooks.push(webhook),
            None => self.job["webhooks"] = json!([webhook]),
        }
        self
    }

    /// Has this nonce.
    #[must_use]
    pub fn nonce(mut self, nonce: &str) -> Self {
        self.job["metadata"]["nonce"] = json!(nonce);
        self
    }

    /// Is signed by another test key, whose seed is 32 times this byte.
    #[must_use]
    pub fn key(mut self, kid: &str, seed: u8, weight: u32) -> Self {
        (self.kid, self.seed, self.weight) = (kid.to_owned(), seed, weight);
        self
    }

    /// The signed, verified job.
    ///
    /// # Panics
    /// If it is no valid job.
    #[must_use]
    pub fn verified(&self) -> VerifiedSpec {
        let signed =
            sign_spec(&mut self.job.clone(), &key_of(self.seed), Profile::Jcs, &SignOptions::default());
        self.verify(signed.expect("the job is an object"))
    }

    /// The signed bytes, with this time stamp.
    ///
    /// # Panics
    /// Never: the job is an object.
    #[must_use]
    pub fn signed_at(&self, now: Timestamp) -> Vec<u8> {
        let options = SignOptions { timestamp: Some(now), ..SignOptions::default() };
        sign_spec(&mut self.job.clone(), &key_of(self.seed), Profile::Jcs, &options)
            .expect("the job is an object")
    }

    /// The same job signed with a fixed nonce point, as a broken signer does: every message gets the same R.
    ///
    /// # Panics
    /// If it is no valid job.
    #[must_use]
    pub fn verified_with_reused_point(&self) -> VerifiedSpec {
        let mut job = self.job.clone();
        let signed = sign_spec(&mut job, &key_of(self.seed), Profile::Jcs, &SignOptions::default());
        let signed = SignedSpec::new(signed.expect("the job is an object")).expect("the job is short");
        let message = inspect(&signed, &self.ring(), Timestamp::UNIX_EPOCH).canonical;
        job["signature"] = json!(STANDARD.encode(signature_with_fixed_point([self.seed; 32], &message)));
        self.verify(job.to_string().into_bytes())
    }

    fn verify(&self, signed: Vec<u8>) -> VerifiedSpec {
        let signed = SignedSpec::new(signed).expect("the job is short");
        let verified = verify(signed, &self.ring(), Timestamp::UNIX_EPOCH, Freshness::NotedOnly);
        verified.expect("the test key signed it")
    }

    fn ring(&self) -> KeyRing {
        let public_key = key_of(self.seed).public_key_base64();
        let entry =
            json!({ "kid": self.kid, "public_key": public_key, "weight": self.weight, "example": true });
        KeyRing::parse(json!([entry]).to_string().as_bytes()).expect("the entry is well formed")
    }
}

fn key_of(byte: u8) -> SigningKey {
    SigningKey::from_seed_base64(&STANDARD.encode([byte; 32])).expect("any 32 bytes are a seed")
}

/// RFC 8032 with a constant in place of the message-dependent nonce: valid, and it gives the key away.
fn signature_with_fixed_point(seed: [u8; 32], message: &[u8]) -> [u8; 64] {
    let expanded = Sha512::digest(seed);
    let mut clamped = [0; 32];
    clamped.copy_from_slice(&expanded[..32]);
    clamped[0] &= 248;
    clamped[31] = (clamped[31] & 127) | 64;
    let secret = Scalar::from_bytes_mod_order(clamped);
    let public = EdwardsPoint::mul_base(&secret).compress();
    let nonce = Scalar::from(7_u64);
    let point = EdwardsPoint::mul_base(&nonce).compress();
    let hash = Sha512::new().chain_update(point.0).chain_update(public.0).chain_update(message).finalize();
    let challenge = Scalar::from_bytes_mod_order_wide(&hash.into());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&point.0);
    signature[32..].copy_from_slice(&(nonce + challenge * secret).to_bytes());
    signature
}
