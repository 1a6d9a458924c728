//! Trusted keys: those of the ring's file, and those that were added or revoked at run time.

use std::{collections::HashMap, sync::Arc};

use axum::{Json, extract::State, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use beacon_domain::StoredKey;
use beacon_spec::{KeyId, KeyRingError, KeyStatus, Profile, Timestamp, TrustedKey};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::quotas::QuotaShape;
use crate::{
    access::Admin,
    api::App,
    error::ApiError,
    extract::{JsonBytes, NamePath},
    idempotency::{Done, Once, RepeatKey},
};

/// The most keys that are read from the store.
const MOST: u32 = 100_000;

/// A trusted key with its policy.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Key {
    #[schema(value_type = String)]
    kid: KeyId,
    /// 32 bytes in padded base64.
    public_key: String,
    /// `active` or `revoked`.
    status: &'static str,
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    not_after: Option<Timestamp>,
    /// Older profiles that it may use.
    #[schema(value_type = Vec<String>)]
    profiles: Vec<Profile>,
    /// Its share against other keys.
    weight: u32,
    /// What it may have, unless an operator has set something else.
    quota: QuotaShape,
    /// `ring` for the file, `store` for what was added or revoked at run time.
    source: &'static str,
    /// Who added it to the store; null for a key of the file.
    added_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    added_at: Option<Timestamp>,
    revoked_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

/// All trusted keys, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Keys {
    keys: Vec<Key>,
}

/// An entry of a key ring.
#[derive(ToSchema)]
#[schema(as = NewKey)]
#[expect(dead_code, reason = "it exists for the document; the ring's own reader reads it")]
pub(crate) struct NewKey {
    #[schema(min_length = 1, max_length = 255)]
    kid: String,
    /// 32 bytes in padded base64.
    public_key: String,
    #[schema(format = DateTime)]
    not_before: Option<String>,
    #[schema(format = DateTime)]
    not_after: Option<String>,
    profiles: Option<Vec<String>>,
    #[schema(minimum = 1)]
    weight: Option<u32>,
    quota: Option<QuotaShape>,
}

/// All trusted keys with their policies, revoked ones too
#[utoipa::path(get, path = "/api/v1/admin/keys", tag = "admin", operation_id = "list_keys",
    security(("token" = [])),
    responses((status = 200, description = "The keys", body = Keys)))]
pub(crate) async fn list(State(app): State<Arc<App>>, _: Admin) -> Result<Json<Keys>, ApiError> {
    let mut keys: Vec<Key> =
        known(&app).await?.into_iter().map(|(key, stored)| Key::new(key, stored)).collect();
    keys.sort_by(|one, other| one.kid.cmp(&other.kid));
    Ok(Json(Keys { keys }))
}

/// Trusts a key, or gives a key that is trusted another policy; services heed it within two seconds
#[utoipa::path(post, path = "/api/v1/admin/keys", tag = "admin", operation_id = "add_key", params(RepeatKey),
    security(("token" = [])), request_body(content = NewKey, content_type = "application/json"),
    responses((status = 201, description = "It is trusted", body = Key)))]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    once: Once,
    JsonBytes(body): JsonBytes,
) -> Result<Response, ApiError> {
    let deed = async {
        let key = TrustedKey::parse(&body).map_err(|error| unfit(error, &body))?;
        if key.example || key.status == KeyStatus::Revoked {
            let message = "a key that is an example or revoked is not trusted; leave the member out";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_key", message));
        }
        let same = |other: &TrustedKey| (other.kid == key.kid) == (other.public_key == key.public_key);
        if !known(&app).await?.iter().all(|(other, _)| same(other)) {
            let message =
                "another key has this kid, or this key another kid; GET /api/v1/admin/keys lists them";
            return Err(ApiError::new(StatusCode::CONFLICT, "name_taken", message));
        }
        caller.note(&app, "key.add", key.kid.to_string(), Some(encoded(&key))).await?;
        let now = app.api.clock.now();
        app.api.operations.trust(key.clone(), caller.name(), now).await?;
        let stored = StoredKey { key: key.clone(), added_by: caller.name(), added_at: now, revoked: None };
        Done::new(StatusCode::CREATED, &Key::new(key, Some(stored)))
    };
    once.run(&app, caller.name(), &body, deed).await
}

/// Revokes a key for good, within two seconds; jobs that were accepted run on
#[utoipa::path(delete, path = "/api/v1/admin/keys/{id}", tag = "admin", operation_id = "revoke_key",
    params(("id" = String, Path, description = "Its kid")), security(("token" = [])),
    responses((status = 200, description = "It is revoked", body = Key)))]
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    NamePath(kid): NamePath,
) -> Result<Json<Key>, ApiError> {
    let found = known(&app).await?.into_iter().find(|(key, _)| key.kid.as_str() == kid);
    let (key, _) = found.ok_or_else(no_key)?;
    caller.note(&app, "key.revoke", kid, Some(encoded(&key))).await?;
    app.api.operations.distrust(key.clone(), caller.name(), app.api.clock.now()).await?;
    let stored = stored(&app).await?.remove(&key.public_key);
    Ok(Json(Key::new(stored.as_ref().map_or(key, |stored| stored.key.clone()), stored)))
}

/// The trusted key of this id.
pub(super) async fn find(app: &App, kid: &str) -> Result<TrustedKey, ApiError> {
    let found = known(app).await?.into_iter().find(|(key, _)| key.kid.as_str() == kid);
    found.map(|(key, _)| key).ok_or_else(no_key)
}

/// Every key: the store's as they are now, and those that only the ring has.
async fn known(app: &App) -> Result<Vec<(TrustedKey, Option<StoredKey>)>, ApiError> {
    let mut stored = stored(app).await?;
    let mut keys: Vec<_> = app
        .api
        .keys
        .all()
        .into_iter()
        .map(|ringed| {
            let stored = stored.remove(&ringed.public_key);
            let policy = stored.as_ref().filter(|_| ringed.status == KeyStatus::Active);
            (
                policy.map_or_else(
                    || ringed.clone(),
                    |stored| TrustedKey { kid: ringed.kid.clone(), ..stored.key.clone() },
                ),
                stored,
            )
        })
        .collect();
    keys.extend(stored.into_values().map(|stored| (stored.key.clone(), Some(stored))));
    Ok(keys)
}

async fn stored(app: &App) -> Result<HashMap<[u8; 32], StoredKey>, ApiError> {
    let stored = app.api.operations.trusted_keys(MOST).await?;
    Ok(stored.into_iter().map(|stored| (stored.key.public_key, stored)).collect())
}

/// Why this is no entry of a ring.
fn unfit(error: KeyRingError, body: &[u8]) -> ApiError {
    let reason = match error {
        KeyRingError::Format(_) if body.trim_ascii_start().starts_with(b"[") => {
            "this is an array, as a whole ring is; post one entry of it, the object with kid and public_key: \
             `beacon keygen --json` prints it so"
                .to_owned()
        }
        KeyRingError::Format(error) => error.to_string(),
        KeyRingError::Entry { reason, .. } => reason,
    };
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_key", reason)
}

fn encoded(key: &TrustedKey) -> String {
    STANDARD.encode(key.public_key)
}

fn no_key() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "key_not_found",
        "there is no such key; GET /api/v1/admin/keys lists them",
    )
}

impl Key {
    fn new(key: TrustedKey, stored: Option<StoredKey>) -> Self {
        let public_key = encoded(&key);
        let TrustedKey { kid, status, not_before, not_after, profiles, weight, quota, .. } = key;
        let revoked = stored.as_ref().and_then(|stored| stored.revoked.clone());
        Self {
            kid,
            public_key,
            status: if status == KeyStatus::Revoked { "revoked" } else { "active" },
            not_before,
            not_after,
            profiles,
            weight,
            quota: quota.into(),
            source: if stored.is_some() { "store" } else { "ring" },
            added_at: stored.as_ref().map(|stored| stored.added_at),
            added_by: stored.map(|stored| stored.added_by),
            revoked_at: revoked.as_ref().map(|(_, at)| *at),
            revoked_by: revoked.map(|(by, _)| by),
        }
    }
}
