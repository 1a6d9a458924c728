//! Webhooks: who is told what of a job, and how a receiver knows that it was Beacon who told it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::Timestamp;

/// Somebody to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where to: http or https, without a user. Which addresses are allowed is the operator's decision.
    pub url: String,
    /// What of.
    pub events: Vec<WebhookEvent>,
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
