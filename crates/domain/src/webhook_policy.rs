//! What an operator allows of webhooks.

/// The operator's decision about webhooks: who may be told, and under which secret. Without one no job may have webhooks.
pub trait WebhookPolicy: Send + Sync {
    /// Whether this URL may be told, as far as its text says: scheme, and an address in place of a name. A name's addresses
    /// are judged when something is sent.
    ///
    /// # Errors
    /// Why not, and by which setting, for whoever submits the job.
    fn judge(&self, url: &str) -> Result<(), String>;

    /// The secret `whsec_…` that signs what the jobs of this key (32 bytes) tell. Its receivers must know it.
    fn secret_of(&self, public_key: &[u8; 32]) -> String;
}
