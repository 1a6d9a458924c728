//! Outages: the endpoints that a process leaves alone because they keep failing (S9).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use beacon_spec::Timestamp;
use serde::Serialize;

use crate::{EndpointId, ErrorCode};

/// An endpoint that keeps failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// Which.
    pub endpoint: EndpointId,
    /// Since when it is left alone but for single calls that try it.
    pub since: Timestamp,
    /// The error that was one too many.
    pub error: ErrorCode,
}

/// The outages that a process knows of now, shared with whoever tells of its health.
#[derive(Debug, Clone, Default)]
pub struct Outages(Arc<Mutex<BTreeMap<EndpointId, Outage>>>);

impl Outages {
    /// It keeps failing.
    pub fn began(&self, outage: Outage) {
        self.lock().insert(outage.endpoint.clone(), outage);
    }

    /// It answers again.
    pub fn ended(&self, endpoint: &EndpointId) {
        self.lock().remove(endpoint);
    }

    /// All of them, by endpoint.
    #[must_use]
    pub fn all(&self) -> Vec<Outage> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EndpointId, Outage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
