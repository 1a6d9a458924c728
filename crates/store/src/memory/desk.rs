//! What the memory store holds beside jobs: workers, changes of endpoints, and who may do what.

use std::collections::BTreeMap;

use beacon_domain::{
    ApiToken, AuditEntry, Delivery, EndpointId, EndpointOverride, IdempotencyKey, StoredKey, WorkerId,
    WorkerPresence,
};
use beacon_spec::{KeyId, Quota};

use crate::idempotency::Begun;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) workers: BTreeMap<WorkerId, WorkerPresence>,
    pub(super) overrides: BTreeMap<EndpointId, EndpointOverride>,
    pub(super) answers: BTreeMap<IdempotencyKey, Begun>,
    pub(super) quotas: BTreeMap<KeyId, Quota>,
    pub(super) tokens: Vec<ApiToken>,
    pub(super) keys: BTreeMap<KeyId, StoredKey>,
    pub(super) audit: Vec<AuditEntry>,
    pub(super) deliveries: Vec<Delivery>,
}
