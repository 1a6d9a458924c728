//! Webhooks: who is told what of a job, and how a receiver knows that it was Beacon who told it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{SignedSpec, Timestamp, VerifyError, claimed::Claimed, field::Field, normalise};

/// Somebody to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where to: http or https, without a user. Which addresses are allowed is the operator's decision.
    pub url: String,
    /// What of.
    pub events: Vec<WebhookEvent>,
}

/// Who is to be told of a job, as its signed bytes say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// The key that signed, 32 bytes: it decides under which secret is told.
    pub public_key: [u8; 32],
    /// In the order of the spec.
    pub webhooks: Vec<Webhook>,
}

impl Audience {
    /// Reads it from the bytes of a job. They must have been verified before: nothing is verified here.
    ///
    /// # Errors
    /// The bytes are no signed job, or have no such webhooks.
    pub fn of(bytes: &[u8]) -> Result<Self, VerifyError> {
        let claimed = Claimed::open(&SignedSpec::new(bytes)?)?;
        let job = claimed.job()?;
        let webhooks = normalise::webhooks(&Field::root(&job))?;
        Ok(Self { public_key: *claimed.key.bytes(), webhooks })
    }
}

/// What a webhook may be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WebhookEvent {
    /// A question is done.
    #[serde(rename = "batch.done")]
    BatchDone,
    /// The job has ended, whatever came of it.
    #[serde(rename = "job.ended")]
    JobEnded,
}

impl WebhookEvent {
    /// Every event.
    pub const ALL: [Self; 2] = [Self::BatchDone, Self::JobEnded];

    /// The name in specs and deliveries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BatchDone => "batch.done",
            Self::JobEnded => "job.ended",
        }
    }
}

/// What the secret of a key is derived from, beside the operator's own secret and the key.
const OF_KEY: &[u8] = b"beacon-webhook-secret/1\0";

/// A secret that the sender and a receiver share: `whsec_` and 24 to 64 bytes in padded base64
/// (Standard Webhooks, "Signature scheme"). `Debug` hides it.
#[derive(Clone)]
pub struct WebhookSecret(Vec<u8>);

/// Not the form of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is whsec_ and 24 to 64 bytes in padded base64")]
pub struct NoWebhookSecret;

const PREFIX: &str = "whsec_";

impl WebhookSecret {
    /// A new random secret of 32 bytes.
    ///
    /// # Panics
    /// If the system gives no random bytes.
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::random::<[u8; 32]>().to_vec())
    }

    /// The text that the receiver is given.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The secret under which the jobs of this key tell: HMAC-SHA256 under this secret of a fixed label and the key's 32 bytes.
    /// So a receiver of one key's jobs cannot forge what a receiver of another's gets.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn of_key(&self, public_key: &[u8; 32]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(OF_KEY);
        mac.update(public_key);
        Self(mac.finalize().into_bytes().to_vec())
    }

    /// The value of the header `webhook-signature` for a message of this id, sent at this time with this body. The headers
    /// `webhook-id` and `webhook-timestamp` (seconds since 1970) carry the other two.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn sign(&self, id: &str, sent_at: Timestamp, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{}.", sent_at.as_second()).as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl FromStr for WebhookSecret {
    type Err = NoWebhookSecret;

    fn from_str(text: &str) -> Result<Self, NoWebhookSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(NoWebhookSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoWebhookSecret)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(NoWebhookSecret) }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecret({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the reference implementations (<https://github.com/standard-webhooks/standard-webhooks>).
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_published_vector_is_signed_as_published() {
        let secret: WebhookSecret = SECRET.parse().unwrap();
        let sent_at = Timestamp::from_second(1_614_265_330).unwrap();

        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", sent_at, br#"{"test": 2432232314}"#);

        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_key_has_a_secret_of_its_own_which_says_nothing_of_the_others() {
        let secret: WebhookSecret = SECRET.parse().unwrap();

        let (one, other) = (secret.of_key(&[1; 32]), secret.of_key(&[2; 32]));

        // python3: hmac.new(base64.b64decode(SECRET[6:]), b"beacon-webhook-secret/1\0" + b"\x01" * 32, "sha256")
        assert_eq!(one.reveal(), "whsec_tjdjE8GaD5mZPrsl7yIA91z6kx0UuulGnWFl3C0+uAY=");
        assert_ne!(one.reveal(), other.reveal());
    }

    #[test]
    fn an_audience_is_read_from_signed_bytes_of_any_envelope() {
        use crate::{Profile, SignOptions, SigningKey, sign_spec};
        let key = SigningKey::from_seed([9; 32]);
        let webhooks =
            serde_json::json!([{ "url": "https://a.example/x", "events": ["job.ended", "batch.done"] }]);
        let mut job =
            serde_json::json!({ "benchmark": { "name": "b" }, "questions": ["q"], "webhooks": webhooks });

        for profile in [Profile::Jcs, Profile::Dsse] {
            let bytes = sign_spec(&mut job.clone(), &key, profile, &SignOptions::default()).unwrap();
            let audience = Audience::of(&bytes).unwrap();

            assert_eq!(audience.public_key, key.public_key());
            assert_eq!(audience.webhooks[0].events, WebhookEvent::ALL);
        }
        job["webhooks"].take();
        let silent = sign_spec(&mut job, &key, Profile::Jcs, &SignOptions::default()).unwrap();
        assert_eq!(Audience::of(&silent).unwrap().webhooks, []);
        assert!(Audience::of(b"{}").is_err());
    }

    #[test]
    fn a_secret_is_read_back_and_anything_else_is_refused() {
        let (one, other) = (WebhookSecret::generate(), WebhookSecret::generate());

        assert_eq!(one.reveal().parse::<WebhookSecret>().unwrap().reveal(), one.reveal());
        assert_ne!(one.reveal(), other.reveal());
        for text in ["", "whsec_", "whsec_AAAA", &SECRET[6..], "whsec_not base64"] {
            assert_eq!(text.parse::<WebhookSecret>().unwrap_err(), NoWebhookSecret, "{text}");
        }
        assert!(!format!("{one:?}").contains(&one.reveal()[6..]));
    }
}
