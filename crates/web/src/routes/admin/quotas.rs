//! What a key may have.

use std::sync::Arc;

use axum::{Json, extract::State};
use beacon_domain::QuotaUse;
use beacon_spec::{KeyId, Quota};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::keys::find;
use crate::{
    access::Admin,
    api::App,
    error::ApiError,
    extract::{JsonBody, NamePath},
};

/// What a key may have; what is null or left out is not limited.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Quota)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuotaShape {
    /// Executions that are not terminal, over all its jobs.
    open_executions: Option<u32>,
    /// Jobs accepted in one UTC day.
    jobs_per_day: Option<u32>,
    /// Millionths of a dollar for the jobs accepted in one UTC day.
    spend_per_day_micros: Option<u64>,
}

/// The quota of a key, and what of it is used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuotaOfKey {
    #[schema(value_type = String)]
    key: KeyId,
    /// What holds.
    quota: QuotaShape,
    /// Whether it was set at run time; else it is the ring's.
    set: bool,
    used: Used,
}

/// What of a quota is used.
#[derive(Debug, Serialize, ToSchema)]
struct Used {
    open_executions: u64,
    jobs_today: u64,
    /// What today's jobs have cost or may still cost.
    spend_today_micros: u64,
}

/// The quota of a key, and what of it is used
#[utoipa::path(get, path = "/api/v1/admin/quotas/{id}", tag = "admin", operation_id = "show_quota",
    params(("id" = String, Path, description = "The key's kid")), security(("token" = [])),
    responses((status = 200, description = "The quota", body = QuotaOfKey)))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    _: Admin,
    NamePath(kid): NamePath,
) -> Result<Json<QuotaOfKey>, ApiError> {
    shown(&app, &kid).await
}

/// Sets the quota of a key in place of the ring's; jobs that were accepted stay
#[utoipa::path(put, path = "/api/v1/admin/quotas/{id}", tag = "admin", operation_id = "set_quota",
    params(("id" = String, Path, description = "The key's kid")), security(("token" = [])),
    request_body = QuotaShape,
    responses((status = 200, description = "The quota that holds now", body = QuotaOfKey)))]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    NamePath(kid): NamePath,
    JsonBody(quota): JsonBody<QuotaShape>,
) -> Result<Json<QuotaOfKey>, ApiError> {
    let key = find(&app, &kid).await?.kid;
    let detail = serde_json::to_string(&quota).map_err(ApiError::internal)?;
    caller.note(&app, "quota.set", kid.clone(), Some(detail)).await?;
    app.api.operations.set_quota(key, Some(quota.into()), app.api.clock.now()).await?;
    shown(&app, &kid).await
}

/// Takes back a quota that was set; the ring's holds again
#[utoipa::path(delete, path = "/api/v1/admin/quotas/{id}", tag = "admin", operation_id = "take_quota_back",
    params(("id" = String, Path, description = "The key's kid")), security(("token" = [])),
    responses((status = 200, description = "The quota that holds now", body = QuotaOfKey)))]
pub(crate) async fn take_back(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    NamePath(kid): NamePath,
) -> Result<Json<QuotaOfKey>, ApiError> {
    let key = find(&app, &kid).await?.kid;
    caller.note(&app, "quota.take_back", kid.clone(), None).await?;
    app.api.operations.set_quota(key, None, app.api.clock.now()).await?;
    shown(&app, &kid).await
}

async fn shown(app: &App, kid: &str) -> Result<Json<QuotaOfKey>, ApiError> {
    let key = find(app, kid).await?;
    let (set, used) = app.api.operations.quota(key.kid.clone(), app.api.clock.now()).await?;
    let QuotaUse { open_executions, jobs_today, spend_today_micros } = used;
    Ok(Json(QuotaOfKey {
        key: key.kid,
        quota: set.unwrap_or(key.quota).into(),
        set: set.is_some(),
        used: Used { open_executions, jobs_today, spend_today_micros },
    }))
}

impl From<Quota> for QuotaShape {
    fn from(quota: Quota) -> Self {
        let Quota { open_executions, jobs_per_day, spend_per_day_micros } = quota;
        Self { open_executions, jobs_per_day, spend_per_day_micros }
    }
}

impl From<QuotaShape> for Quota {
    fn from(shape: QuotaShape) -> Self {
        let QuotaShape { open_executions, jobs_per_day, spend_per_day_micros } = shape;
        Self { open_executions, jobs_per_day, spend_per_day_micros }
    }
}
