//! What was done, what seems stuck, and who works.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use beacon_domain::{AuditEntry, EndpointId, JobId, StuckAsk, WorkerId, WorkerPresence};
use beacon_spec::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    access::Admin,
    api::App,
    error::ApiError,
    extract::Asked,
    limits::{self, Rows, Within},
    shapes::names,
};

/// Which page of the audit trail.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// Where the page before ended: its `next`.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
    /// The most rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Rows>,
}

/// For how long something may be silent.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SilenceQuery {
    /// Seconds: without a first dispatch for stuck jobs, without being seen for workers.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 604_800)]
    silent_s: Option<Within<1, LONGEST>>,
    /// The most rows of each kind.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Rows>,
}

/// What was done, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Audit {
    entries: Vec<Deed>,
    /// The cursor of the page behind; null at the end.
    next: Option<String>,
}

/// One deed.
#[derive(Debug, Serialize, ToSchema)]
struct Deed {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// A token's id, `key` and a kid, `operator` or `command line`.
    who: String,
    /// Such as `key.revoke`.
    action: String,
    subject: String,
    detail: Option<String>,
    /// The request; null if it came by none.
    request_id: Option<String>,
}

/// What seems dead or stuck.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StuckThings {
    /// Leases that have expired and that nobody reaped.
    expired: Vec<DeadLease>,
    /// Open jobs without progress that are not paused.
    #[schema(value_type = Vec<String>)]
    idle: Vec<JobId>,
    /// Ended jobs without a signed close.
    #[schema(value_type = Vec<String>)]
    unclosed: Vec<JobId>,
}

/// A lease that nobody renews.
#[derive(Debug, Serialize, ToSchema)]
struct DeadLease {
    #[schema(value_type = names::ExecutionId)]
    execution: String,
    /// Who had it.
    #[schema(value_type = Option<String>)]
    worker: Option<WorkerId>,
    #[schema(value_type = String, format = DateTime)]
    expired_at: Timestamp,
}

/// Workers that were seen, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
}

/// A worker, as it describes itself.
#[derive(Debug, Serialize, ToSchema)]
struct Worker {
    #[schema(value_type = String)]
    id: WorkerId,
    version: String,
    /// The endpoints that it may call.
    #[schema(value_type = Vec<String>)]
    endpoints: Vec<EndpointId>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
}

/// What was changed, by whom, by which request; the newest first
#[utoipa::path(get, path = "/api/v1/admin/audit", tag = "admin", operation_id = "audit",
    params(AuditQuery), security(("token" = [])),
    responses((status = 200, description = "A page of the trail", body = Audit)))]
pub(crate) async fn audit(
    State(app): State<Arc<App>>,
    _: Admin,
    Asked(query): Asked<AuditQuery>,
) -> Result<Json<Audit>, ApiError> {
    limits::cursor::<i64>(query.cursor.as_deref())?;
    let page = app.api.operations.audit(query.cursor, limits::rows(query.limit)).await?;
    Ok(Json(Audit { entries: page.items.into_iter().map(Deed::from).collect(), next: page.next }))
}

/// What seems dead or stuck: expired leases, open jobs without progress, ended jobs without a close
#[utoipa::path(get, path = "/api/v1/admin/stuck", tag = "admin", operation_id = "stuck",
    params(SilenceQuery), security(("token" = [])),
    responses((status = 200, description = "What seems stuck; silent_s is 600 unless it is given", body = StuckThings)))]
pub(crate) async fn stuck(
    State(app): State<Arc<App>>,
    _: Admin,
    Asked(query): Asked<SilenceQuery>,
) -> Result<Json<StuckThings>, ApiError> {
    let (now, n) = (app.api.clock.now(), limits::rows(query.limit));
    let ask = StuckAsk { idle_since: since(now, query.silent_s, 600), n, now };
    let stuck = app.api.operations.stuck(ask).await?;
    let expired = stuck.expired.into_iter().map(|lease| DeadLease {
        execution: format!("{}-{}", lease.execution.job, lease.execution.n),
        worker: lease.worker,
        expired_at: lease.expired_at,
    });
    Ok(Json(StuckThings { expired: expired.collect(), idle: stuck.idle, unclosed: stuck.unclosed }))
}

/// Workers that were seen lately
#[utoipa::path(get, path = "/api/v1/admin/workers", tag = "admin", operation_id = "workers",
    params(SilenceQuery), security(("token" = [])),
    responses((status = 200, description = "The workers; silent_s is 60 unless it is given", body = Workers)))]
pub(crate) async fn workers(
    State(app): State<Arc<App>>,
    _: Admin,
    Asked(query): Asked<SilenceQuery>,
) -> Result<Json<Workers>, ApiError> {
    let since = since(app.api.clock.now(), query.silent_s, 60);
    let workers = app.api.operations.workers(since, limits::rows(query.limit)).await?;
    Ok(Json(Workers { workers: workers.into_iter().map(Worker::from).collect() }))
}

/// The longest silence that may be asked for: a week.
const LONGEST: u32 = 7 * 24 * 3600;

fn since(now: Timestamp, silent_s: Option<Within<1, LONGEST>>, usual: u32) -> Timestamp {
    let silent_s = silent_s.map_or(usual, |Within(silent_s)| silent_s);
    now.checked_sub(Duration::from_secs(silent_s.into())).unwrap_or_default()
}

impl From<AuditEntry> for Deed {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { at, who, action, subject, detail, request_id } = entry;
        Self { at, who, action, subject, detail, request_id }
    }
}

impl From<WorkerPresence> for Worker {
    fn from(worker: WorkerPresence) -> Self {
        let WorkerPresence { worker: id, version, endpoints, started_at, seen_at, .. } = worker;
        Self { id, version, endpoints, started_at, seen_at }
    }
}
