//! Signing jobs, receipts and closes.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

use crate::{
    Close, CloseBody, Profile, Receipt, ReceiptBody, Timestamp,
    canonical::{Dialect, canonicalize},
};

/// An Ed25519 signing key. Its seed never appears in `Debug`.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A job that cannot be signed, or a key that is none.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Not a seed.
    #[error("a signing key is 32 bytes in padded base64, as `beacon keygen` writes it")]
    NotAKey,
    /// Not an object.
    #[error("a job is a JSON object")]
    NotAnObject,
}

/// What signing adds to `metadata`, where the job does not have it.
#[derive(Debug, Clone, Default)]
pub struct SignOptions {
    /// `metadata.timestamp`.
    pub timestamp: Option<Timestamp>,
    /// `metadata.nonce`.
    pub nonce: Option<String>,
}

impl SigningKey {
    /// A new random key.
    ///
    /// # Panics
    /// If the system gives no random bytes.
    #[must_use]
    pub fn generate() -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&rand::random()))
    }

    /// The key of a seed: 32 bytes in padded base64.
    ///
    /// # Errors
    /// It is no seed.
    pub fn from_seed_base64(text: &str) -> Result<Self, SignError> {
        let bytes = STANDARD.decode(text).map_err(|_| SignError::NotAKey)?;
        let seed: [u8; 32] = bytes.try_into().map_err(|_| SignError::NotAKey)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// The secret seed, padded base64.
    #[must_use]
    pub fn seed_base64(&self) -> String {
        STANDARD.encode(self.0.to_bytes())
    }

    /// The public key: 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The public key, padded base64.
    #[must_use]
    pub fn public_key_base64(&self) -> String {
        STANDARD.encode(self.public_key())
    }

    pub(crate) fn sign_base64(&self, bytes: &[u8]) -> String {
        STANDARD.encode(self.0.sign(bytes).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public_key_base64())
    }
}

/// Signs a job and returns it as text. Adds what the options give and `metadata` lacks.
///
/// # Errors
/// The job is not an object.
pub fn sign_spec(
    job: &mut Value,
    key: &SigningKey,
    profile: Profile,
    options: &SignOptions,
) -> Result<Vec<u8>, SignError> {
    let top = job.as_object_mut().ok_or(SignError::NotAnObject)?;
    let metadata = top.entry("metadata").or_insert_with(|| json!({}));
    let metadata = metadata.as_object_mut().ok_or(SignError::NotAnObject)?;
    if let Some(timestamp) = options.timestamp {
        metadata.entry("timestamp").or_insert_with(|| json!(timestamp.to_string()));
    }
    if let Some(nonce) = &options.nonce {
        metadata.entry("nonce").or_insert_with(|| json!(nonce));
    }
    let signature = key.sign_base64(&profile.signed_bytes(job));
    let top = job.as_object_mut().ok_or(SignError::NotAnObject)?;
    top.insert("signature".to_owned(), Value::String(signature));
    top.insert("public_key".to_owned(), Value::String(key.public_key_base64()));
    let mut bytes = serde_json::to_vec_pretty(job).expect("a JSON value can be written");
    bytes.push(b'\n');
    Ok(bytes)
}

/// The runner's key, ready to sign records.
#[derive(Debug, Clone)]
pub struct ReceiptSigner {
    key: SigningKey,
    public: String,
}

impl ReceiptSigner {
    /// Signs with this key.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self { public: key.public_key_base64(), key }
    }

    /// A signed receipt.
    #[must_use]
    pub fn sign(&self, body: ReceiptBody) -> Receipt {
        let mut receipt = Receipt { body, runner_key: self.public.clone(), signature: String::new() };
        receipt.signature = self.key.sign_base64(&unsigned_bytes(&receipt));
        receipt
    }

    /// A signed close.
    #[must_use]
    pub fn close(&self, body: CloseBody) -> Close {
        let mut close = Close { body, runner_key: self.public.clone(), signature: String::new() };
        close.signature = self.key.sign_base64(&unsigned_bytes(&close));
        close
    }
}

/// The JCS form of a record without its signature.
pub(crate) fn unsigned_bytes(record: &impl serde::Serialize) -> Vec<u8> {
    let mut value = serde_json::to_value(record).expect("records have string keys and finite numbers");
    if let Some(members) = value.as_object_mut() {
        members.remove("signature");
    }
    canonicalize(&value, Dialect::JavaScript)
}
