//! Ed25519 signing keys, and nonces.

use std::fmt;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use ed25519_dalek::Signer as _;

use crate::SignError;

/// An Ed25519 signing key. Its seed never appears in `Debug`.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new random key.
    ///
    /// # Panics
    /// If the system gives no random bytes.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_seed(rand::random())
    }

    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The key of a seed: 32 bytes in padded base64. Also Go's form of a private key: the seed and the public key.
    ///
    /// # Errors
    /// It is no seed, or the public key beside it is another one's.
    pub fn from_seed_base64(text: &str) -> Result<Self, SignError> {
        let bytes = STANDARD.decode(text).map_err(|_| SignError::NotAKey)?;
        let (seed, public) = bytes.split_first_chunk::<32>().ok_or(SignError::NotAKey)?;
        let key = Self::from_seed(*seed);
        if public.is_empty() || *public == key.public_key() { Ok(key) } else { Err(SignError::NotAKey) }
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

/// A new nonce: 16 random bytes as 22 characters.
///
/// # Panics
/// If the system gives no random bytes.
#[must_use]
pub fn random_nonce() -> String {
    STANDARD_NO_PAD.encode(rand::random::<[u8; 16]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8032, section 7.1, test 1.
    #[test]
    fn a_seed_gives_the_published_public_key_and_signature() {
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = SigningKey::from_seed(seed.try_into().unwrap());

        assert_eq!(
            hex::encode(key.public_key()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert_eq!(
            hex::encode(STANDARD.decode(key.sign_base64(b"")).unwrap()),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        );
    }

    #[test]
    fn a_private_key_of_go_is_its_seed_and_the_public_key() {
        let key = SigningKey::from_seed([1; 32]);
        let of_go = |public: [u8; 32]| STANDARD.encode([&[1; 32][..], &public].concat());

        let read = SigningKey::from_seed_base64(&of_go(key.public_key())).unwrap();

        assert_eq!(read.public_key(), key.public_key());
        assert!(SigningKey::from_seed_base64(&of_go([0; 32])).is_err(), "another one's public key");
        assert!(SigningKey::from_seed_base64(&STANDARD.encode([1; 31])).is_err());
    }

    #[test]
    fn the_seed_is_not_in_the_debug_text() {
        let key = SigningKey::from_seed([1; 32]);

        assert!(!format!("{key:?}").contains(&key.seed_base64()));
    }

    #[test]
    fn nonces_have_22_characters_and_differ() {
        let (one, other) = (random_nonce(), random_nonce());

        assert_eq!((one.len(), other.len()), (22, 22));
        assert_ne!(one, other);
    }
}
