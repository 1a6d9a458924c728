//! The secret of a key's webhooks.

use std::sync::Arc;

use axum::{Json, extract::State};
use beacon_spec::KeyId;
use serde::Serialize;
use utoipa::ToSchema;

use super::keys::find;
use crate::{
    access::Admin,
    api::App,
    error::{ApiError, ErrorBody},
    extract::NamePath,
    webhooks,
};

/// What the receivers of a key's webhooks must know.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookSecretOfKey {
    #[schema(value_type = String)]
    key: KeyId,
    /// `whsec_…`: under it is signed what the jobs of this key tell.
    secret: String,
}

/// The secret under which the webhooks of a key's jobs are signed; its receivers check signatures with it
#[utoipa::path(get, path = "/api/v1/admin/keys/{id}/webhook-secret", tag = "admin", operation_id = "webhook_secret",
    params(("id" = String, Path, description = "The key's kid")), security(("token" = [])),
    responses(
        (status = 200, description = "The secret", body = WebhookSecretOfKey),
        (status = 422, description = "The operator sends no webhooks", body = ErrorBody),
    ))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    NamePath(kid): NamePath,
) -> Result<Json<WebhookSecretOfKey>, ApiError> {
    let policy = webhooks::policy(&app.api)?;
    let key = find(&app, &kid).await?;
    caller.note(&app, "key.webhook_secret", kid, None).await?;
    let secret = policy.secret_of(&key.public_key);
    Ok(Json(WebhookSecretOfKey { key: key.kid, secret }))
}
