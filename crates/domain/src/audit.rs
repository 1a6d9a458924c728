//! The audit trail: who changed what, when, by which request. It is only ever added to.

use async_trait::async_trait;
use beacon_spec::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Page, StoreError};

/// What was done by people and programs with a name.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Adds an entry.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn note(&self, entry: AuditEntry) -> Result<(), StoreError>;

    /// Entries, the newest first: at most `n`, from before `cursor`.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn audit(&self, cursor: Option<String>, n: u32) -> Result<Page<AuditEntry>, StoreError>;
}

/// Who it was, when a deed was done by a command beside the API.
pub const COMMAND_LINE: &str = "command line";

/// One deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: the id of a token, of a key, or the command line.
    pub who: String,
    /// What, in a word such as `key.revoke`.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// More of it; never a secret.
    pub detail: Option<String>,
    /// The request, if it came by one.
    pub request_id: Option<String>,
}
