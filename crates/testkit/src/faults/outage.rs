//! A store that fails for a while.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use beacon_domain::StoreError;
use tokio::time::Instant;

/// Whether a store fails, and until when.
#[derive(Debug, Default)]
pub struct Outage(Mutex<Option<Instant>>);

impl Outage {
    /// It fails from now on for so long.
    pub fn begin(&self, lasting: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + lasting);
    }

    /// Until when it fails, if it does.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).filter(|until| *until > Instant::now())
    }

    /// What a caller gets meanwhile.
    #[must_use]
    pub fn error() -> StoreError {
        StoreError::Unavailable { message: "the store is down, as the seed asks".to_owned(), source: None }
    }
}
