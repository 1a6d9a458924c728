//! Looking at a signed job without submitting it (P7).

use std::sync::Arc;

use axum::{Json, extract::State};
use beacon_spec::{KeyId, Sha256Digest, SignedSpec, inspect};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{api::App, error::ApiError, extract::JsonBytes};

/// What holds of a signed job, in which form, over which bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verdict {
    /// `good`, or the code of the first thing that does not hold.
    verdict: String,
    /// The same for people.
    explanation: String,
    /// Why a job whose signature is good still cannot run here, if so.
    cannot_run: Option<String>,
    /// The form under which the signature holds; null if it holds under none.
    profile: Option<String>,
    /// The ring's id of the key, if the ring has it.
    #[schema(value_type = Option<String>)]
    key: Option<KeyId>,
    /// How long the canonical bytes are.
    canonical_length: usize,
    /// Their SHA-256.
    #[schema(value_type = String)]
    canonical_sha256: Sha256Digest,
}

/// Checks a signed job as submission does, by the same code, and stores nothing; its age and nonce are not judged
#[utoipa::path(post, path = "/api/v1/verify", tag = "jobs",
    request_body(content = serde_json::Value, content_type = "application/json",
        description = "Whatever claims to be a signed job, bare, wrapped or in DSSE"),
    responses((status = 200, description = "The verdict, good or not", body = Verdict)))]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Verdict>, ApiError> {
    let shared = Arc::clone(&app);
    let judged = tokio::task::spawn_blocking(move || {
        let signed = SignedSpec::new(body.as_ref())?;
        Ok::<_, ApiError>(inspect(&signed, shared.api.keys.as_ref(), shared.api.clock.now()))
    });
    let found = judged.await.map_err(ApiError::internal)??;
    Ok(Json(Verdict {
        verdict: found.verdict,
        explanation: found.explanation,
        cannot_run: found.cannot_run.map(|error| error.to_string()),
        profile: found.profile.map(|profile| profile.to_string()),
        key: found.key,
        canonical_length: found.canonical.len(),
        canonical_sha256: found.canonical_sha256,
    }))
}
