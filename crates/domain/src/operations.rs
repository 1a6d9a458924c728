//! All that operators and the API need of a store, beside its jobs.

use crate::{
    Attendance, AuditTrail, DeliveryQueue, EndpointControl, IdempotencyLog, JobSteering, QuotaStore,
    SpecArchive, TokenStore, TrustStore,
};

/// A store that operators can work with. Whoever needs one part asks for its trait: `Arc<dyn Operations>` becomes an
/// `Arc` of each of them.
pub trait Operations:
    Attendance
    + AuditTrail
    + DeliveryQueue
    + EndpointControl
    + IdempotencyLog
    + JobSteering
    + QuotaStore
    + SpecArchive
    + TokenStore
    + TrustStore
{
}

impl<S> Operations for S where
    S: Attendance
        + AuditTrail
        + DeliveryQueue
        + EndpointControl
        + IdempotencyLog
        + JobSteering
        + QuotaStore
        + SpecArchive
        + TokenStore
        + TrustStore
{
}
