//! Ed25519 as strictly as P3 asks: raw keys and signatures in padded base64, no small orders, one spelling of each point.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};

/// A key that can only hold signatures of one signer.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads 32 raw bytes in padded base64; the error says what is wrong with them.
    pub(crate) fn from_base64(text: &str) -> Result<Self, &'static str> {
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        Self::from_bytes(&bytes.ok_or("must be 32 bytes in padded base64")?)
    }

    /// Takes 32 raw bytes (RFC 8032, section 5.1.3); the error says what is wrong with them.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, &'static str> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| "is no point of Ed25519")?;
        if key.to_edwards().compress().to_bytes() != *bytes {
            return Err("is a second spelling of a point of Ed25519");
        }
        if key.is_weak() {
            return Err("is a point of small order, under which anybody can sign");
        }
        Ok(Self(key))
    }

    /// The 32 raw bytes.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether the signature holds: S below the group's order, R of large order and in its only spelling.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// Reads 64 raw bytes in padded base64.
pub(crate) fn decode_signature(text: &str) -> Result<[u8; 64], &'static str> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or("must be 64 bytes in padded base64")
}
