//! Whether a job's webhooks can be told. A job that asks for what will not happen is refused, not accepted and forgotten.

use beacon_domain::WebhookPolicy;
use beacon_spec::JobSpec;
use http::StatusCode;

use crate::{api::Api, error::ApiError};

/// Refuses a job whose webhooks the operator does not send, or not there.
pub(crate) fn check(api: &Api, job: &JobSpec) -> Result<(), ApiError> {
    if job.webhooks.is_empty() {
        return Ok(());
    }
    let policy = policy(api)?;
    for (place, webhook) in job.webhooks.iter().enumerate() {
        policy.judge(&webhook.url).map_err(|reason| {
            let message = format!("webhooks[{place}].url {reason}");
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "webhook_refused", message)
        })?;
    }
    Ok(())
}

/// The operator's policy.
pub(crate) fn policy(api: &Api) -> Result<&dyn WebhookPolicy, ApiError> {
    let none = || {
        let message = "webhooks are not sent here: the operator has not set webhooks.secret";
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "webhooks_not_configured", message)
    };
    api.webhooks.as_deref().ok_or_else(none)
}
