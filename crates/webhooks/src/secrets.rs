//! The operator's secrets, from which each key's are derived.

use beacon_spec::{Timestamp, WebhookSecret};

/// The secret that signs, and the one before it while receivers change over. `Debug` hides them.
#[derive(Debug, Clone)]
pub struct Secrets {
    current: WebhookSecret,
    previous: Option<WebhookSecret>,
}

impl Secrets {
    /// These.
    #[must_use]
    pub const fn new(current: WebhookSecret, previous: Option<WebhookSecret>) -> Self {
        Self { current, previous }
    }

    /// The secret of a key's receivers.
    pub(crate) fn of_key(&self, public_key: &[u8; 32]) -> WebhookSecret {
        self.current.of_key(public_key)
    }

    /// The header `webhook-signature`: a signature under each secret, separated by a space (Standard Webhooks, "Signature
    /// scheme"), so that a receiver who knows either accepts it.
    pub(crate) fn sign(&self, public_key: &[u8; 32], id: &str, sent_at: Timestamp, body: &[u8]) -> String {
        let secrets = std::iter::once(&self.current).chain(&self.previous);
        let signatures = secrets.map(|secret| secret.of_key(public_key).sign(id, sent_at, body));
        signatures.collect::<Vec<_>>().join(" ")
    }
}
