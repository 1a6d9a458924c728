//! Receipts and closes: the signed records of what came of a job (L8).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ModelId, QuestionId, Region, Sha256Digest, SigningKey, Timestamp,
    canonical::{Dialect, canonicalize},
    public_key::{PublicKey, decode_signature},
};

/// The schema of a receipt, the first member that a reader looks at.
pub const RECEIPT_SCHEMA: &str = "beacon-receipt/1";

/// The schema of a close.
pub const CLOSE_SCHEMA: &str = "beacon-close/1";

/// What is said about one attempt that ended an execution. Signed over its JCS form without `signature`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceiptBody {
    /// `beacon-receipt/1`.
    pub schema: String,
    /// The job's id, 32 hex digits.
    pub job: String,
    /// SHA-256 of the signed spec's bytes.
    pub spec_digest: Sha256Digest,
    /// The execution's place in the plan, from 0.
    pub execution: u32,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The question.
    pub question: QuestionId,
    /// The repetition, from 1.
    pub run: u32,
    /// The model asked.
    pub model: ModelId,
    /// The model that the endpoint named, if it did.
    pub model_observed: Option<String>,
    /// The region asked.
    pub region: Region,
    /// The region that the endpoint named, if it did.
    pub region_observed: Option<Region>,
    /// The endpoint's id.
    pub endpoint: String,
    /// SHA-256 of the request.
    pub request_hash: Sha256Digest,
    /// SHA-256 of the answer's text, if there is one.
    pub output_hash: Option<Sha256Digest>,
    /// When the execution could first be claimed.
    pub queued_at: Timestamp,
    /// When the call was dispatched.
    pub dispatched_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Tokens in, if told.
    pub prompt_tokens: Option<u64>,
    /// Tokens out, if told.
    pub completion_tokens: Option<u64>,
    /// The provider's working time in milliseconds, if told.
    pub provider_ms: Option<u64>,
    /// Cost in millionths of a dollar, if known.
    pub cost_micros: Option<u64>,
    /// `completed`, `failed` or `timed_out`.
    pub outcome: String,
    /// The error's code, if it did not complete.
    pub error_code: Option<String>,
}

/// A signed receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// What is said.
    #[serde(flatten)]
    pub body: ReceiptBody,
    /// The runner's public key, padded base64 of 32 bytes; part of what is signed.
    pub runner_key: String,
    /// Ed25519 over the JCS form of everything else, padded base64 of 64 bytes.
    pub signature: String,
}

/// What is said about a whole job when it has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloseBody {
    /// `beacon-close/1`.
    pub schema: String,
    /// The job's id, 32 hex digits.
    pub job: String,
    /// SHA-256 of the signed spec's bytes.
    pub spec_digest: Sha256Digest,
    /// The job's final state.
    pub state: String,
    /// Executions of the plan.
    pub expected: u32,
    /// Executions that completed.
    pub completed: u32,
    /// Executions that failed.
    pub failed: u32,
    /// Executions that were cancelled.
    pub cancelled: u32,
    /// Executions that timed out.
    pub timed_out: u32,
    /// Executions that no endpoint served.
    pub unsupported: u32,
    /// Receipts under the root.
    pub receipts: u32,
    /// The Merkle root over all receipt hashes in the order of the plan.
    pub merkle_root: Sha256Digest,
    /// When the job ended.
    pub ended_at: Timestamp,
}

/// A signed close.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Close {
    /// What is said.
    #[serde(flatten)]
    pub body: CloseBody,
    /// The runner's public key, padded base64; part of what is signed.
    pub runner_key: String,
    /// Ed25519 over the JCS form of everything else, padded base64.
    pub signature: String,
}

/// A record that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The key or the signature is malformed.
    #[error("the runner's key or the signature is malformed")]
    Malformed,
    /// The signature does not hold over the content.
    #[error("the record was changed after it was signed")]
    Mismatch,
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

    /// The runner's public key, padded base64.
    #[must_use]
    pub fn public_key_base64(&self) -> &str {
        &self.public
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

impl Receipt {
    /// SHA-256 over the JCS form with the signature; the leaf of the job's Merkle tree.
    #[must_use]
    pub fn hash(&self) -> Sha256Digest {
        Sha256Digest::of(&canonicalize(&value(self), Dialect::JavaScript))
    }

    /// Checks the signature against the key that the receipt names.
    ///
    /// # Errors
    /// It does not hold.
    pub fn verify(&self) -> Result<(), ReceiptError> {
        verify_record(&self.runner_key, &self.signature, &unsigned_bytes(self))
    }
}

impl Close {
    /// Checks the signature against the key that the close names.
    ///
    /// # Errors
    /// It does not hold.
    pub fn verify(&self) -> Result<(), ReceiptError> {
        verify_record(&self.runner_key, &self.signature, &unsigned_bytes(self))
    }
}

fn value(record: &impl Serialize) -> Value {
    serde_json::to_value(record).expect("records have string keys and finite numbers")
}

/// The JCS form of a record without its signature.
fn unsigned_bytes(record: &impl Serialize) -> Vec<u8> {
    unsigned_form(&mut value(record))
}

/// The JCS form of a record that arrived, without its signature, which is taken out.
pub(crate) fn unsigned_form(record: &mut Value) -> Vec<u8> {
    if let Some(members) = record.as_object_mut() {
        members.remove("signature");
    }
    canonicalize(record, Dialect::JavaScript)
}

/// Checks one signature of a runner.
pub(crate) fn verify_record(key: &str, signature: &str, bytes: &[u8]) -> Result<(), ReceiptError> {
    let key = PublicKey::from_base64(key).map_err(|_| ReceiptError::Malformed)?;
    let signature = decode_signature(signature).map_err(|_| ReceiptError::Malformed)?;
    if key.signed(bytes, &signature) { Ok(()) } else { Err(ReceiptError::Mismatch) }
}
