//! Idempotency keys: a request that is repeated under its key is answered again, not done again (A5).

use std::time::Duration;

use async_trait::async_trait;
use beacon_spec::{Sha256Digest, Timestamp};

use crate::StoreError;

/// Answers by the key that a client gave to its request. The first insert wins.
#[async_trait]
pub trait IdempotencyLog: Send + Sync {
    /// A request begins. Entries older than `ask.keep` count as absent.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn begin(&self, ask: IdempotencyAsk) -> Result<Idempotent, StoreError>;

    /// What is known of a request without beginning it: what [`IdempotencyLog::begin`] would answer, or `None` where it would
    /// let the request in. Writes nothing.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn known(&self, ask: IdempotencyAsk) -> Result<Option<Idempotent>, StoreError>;

    /// Keeps the answer to a request that [`Idempotent::First`] let in; the same answer may be given again. `false`: its
    /// turn is over, because it took longer than [`IdempotencyAsk::patience`] and another one has begun, or it has another
    /// answer already.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn finish(&self, key: IdempotencyKey, turn: u32, answer: KeptAnswer) -> Result<bool, StoreError>;

    /// The request changed nothing and may be sent again under its key.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn give_up(&self, key: IdempotencyKey, turn: u32) -> Result<(), StoreError>;

    /// Removes at most `n` entries from before `before`; how many.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn forget_answers(&self, before: Timestamp, n: u32) -> Result<u32, StoreError>;
}

/// A client's key for one request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey {
    /// Who asks: keys of one owner mean nothing to another.
    pub owner: String,
    /// The text of the header `Idempotency-Key`.
    pub key: String,
}

/// A request that begins.
#[derive(Debug, Clone)]
pub struct IdempotencyAsk {
    /// Its key.
    pub key: IdempotencyKey,
    /// The digest of its method, path and body.
    pub request: Sha256Digest,
    /// How long an answer is kept.
    pub keep: Duration,
    /// After this long without an answer, whoever began is believed to be gone.
    pub patience: Duration,
    /// The caller's time.
    pub now: Timestamp,
}

impl IdempotencyAsk {
    /// Answers from before then are not kept any more.
    #[must_use]
    pub fn too_old(&self) -> Timestamp {
        self.now.checked_sub(self.keep).unwrap_or(Timestamp::MIN)
    }
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idempotent {
    /// Do it, then finish it under this turn.
    First {
        /// Grows when somebody else takes over.
        turn: u32,
    },
    /// It is being done now; ask again later.
    Running,
    /// It was done; this was the answer.
    Done(KeptAnswer),
    /// The key was used for another request.
    OtherRequest,
}

/// An answer as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}
