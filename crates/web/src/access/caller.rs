//! Who changes something.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use beacon_domain::{AuditEntry, JobId, JobSummary, Scope};
use beacon_spec::KeyId;
use bytes::Bytes;
use http::{StatusCode, request::Parts};

use super::{bearer::bearer, signed};
use crate::{api::App, error::ApiError, extract::is_json, request_id::current};

/// Somebody with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Whoever has the configured token.
    Operator,
    /// A token of the store, by its id.
    Token(String),
    /// A trusted key that signed the request.
    Key(KeyId),
}

/// Somebody who may decide who may do what.
pub(crate) struct Admin(pub(crate) Caller);

/// Somebody who may steer jobs: all of them with a token, its own with a key. With the body that was sent.
pub(crate) struct Steerer {
    pub(crate) caller: Caller,
    pub(crate) body: Bytes,
}

impl Caller {
    /// The name in the audit trail, and the owner of idempotency keys.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Operator => "operator".to_owned(),
            Self::Token(id) => id.clone(),
            Self::Key(kid) => format!("key {kid}"),
        }
    }

    /// Writes down what is about to be done. The entry comes before the deed, so that no deed lacks one.
    pub(crate) async fn note(
        &self,
        app: &App,
        action: &str,
        subject: String,
        detail: Option<String>,
    ) -> Result<(), ApiError> {
        let entry = AuditEntry {
            at: app.api.clock.now(),
            who: self.name(),
            action: action.to_owned(),
            subject,
            detail,
            request_id: Some(current()),
        };
        Ok(app.api.operations.note(entry).await?)
    }
}

impl Steerer {
    /// The job, if it is there and the caller may steer it.
    pub(crate) async fn job(&self, app: &App, job: JobId) -> Result<JobSummary, ApiError> {
        let job = app.api.view.job(job).await?.ok_or_else(ApiError::no_job)?;
        self.may_steer(&job.key)?;
        Ok(job)
    }

    /// Refuses a key that is not the one of the job.
    pub(crate) fn may_steer(&self, key_of_job: &KeyId) -> Result<(), ApiError> {
        match &self.caller {
            Caller::Key(kid) if kid != key_of_job => {
                let message = "another key signed the job; sign the request with that one, or use a token";
                Err(ApiError::new(StatusCode::FORBIDDEN, "not_your_job", message))
            }
            _ => Ok(()),
        }
    }

    /// Whoever sent this request, by its token or by its signature over it.
    pub(crate) async fn of(app: &App, parts: &Parts, body: Bytes) -> Result<Self, ApiError> {
        let caller = if signed::is_signed(&parts.headers) {
            signed::signer(app, parts, &body).await?
        } else {
            bearer(app, &parts.headers, &parts.extensions, Scope::Operate).await?
        };
        Ok(Self { caller, body })
    }
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        bearer(app, &parts.headers, &parts.extensions, Scope::Admin).await.map(Self)
    }
}

impl FromRequest<Arc<App>> for Steerer {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let body = signed::small(body).await?;
        if !body.is_empty() {
            is_json(&parts.headers)?;
        }
        Self::of(app, &parts, body).await
    }
}
