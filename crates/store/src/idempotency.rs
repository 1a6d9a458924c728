//! What a known idempotency key means for a request, the same in every store (A5).

use beacon_domain::{IdempotencyAsk, Idempotent, KeptAnswer};
use beacon_spec::{Sha256Digest, Timestamp};
use jiff::SignedDuration;

/// A request under its key, as it is kept.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) request: Sha256Digest,
    pub(crate) turn: u32,
    pub(crate) begun_at: Timestamp,
    pub(crate) answer: Option<KeptAnswer>,
}

impl Begun {
    /// What to tell a request that meets this one; `None` if it takes over, under the next turn.
    pub(crate) fn meets(&self, ask: &IdempotencyAsk) -> Option<Idempotent> {
        let age = ask.now.duration_since(self.begun_at);
        let is_older = |than| age > SignedDuration::try_from(than).unwrap_or(SignedDuration::MAX);
        if is_older(ask.keep) {
            return None;
        }
        if self.request != ask.request {
            return Some(Idempotent::OtherRequest);
        }
        match &self.answer {
            Some(answer) => Some(Idempotent::Done(answer.clone())),
            // Whoever began is gone, or so slow that its answer is not taken any more.
            None if is_older(ask.patience) => None,
            None => Some(Idempotent::Running),
        }
    }
}
