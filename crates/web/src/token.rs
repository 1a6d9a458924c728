//! The operator's token: kept as its hash, compared in constant time.

use http::{HeaderMap, StatusCode, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{Api, error::ApiError};

/// The hash of a token.
#[derive(Clone)]
pub struct OperatorToken([u8; 32]);

impl OperatorToken {
    /// Of the token itself.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    fn is(&self, token: &str) -> bool {
        self.0.ct_eq(&Self::new(token).0).into()
    }
}

/// Whether the request shows the operator's token (A1).
pub(crate) fn authorize(api: &Api, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(operator) = &api.operator else {
        let message = "this server has no operator token; set api.operator_token to allow it";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "not_configured", message));
    };
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match shown.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if operator.is(token.trim()) => Ok(()),
        Some(_) => {
            Err(ApiError::new(StatusCode::FORBIDDEN, "wrong_token", "the token is not the operator's"))
        }
        None => {
            let message = "send the operator's token as `Authorization: Bearer …`";
            Err(ApiError::new(StatusCode::UNAUTHORIZED, "token_required", message))
        }
    }
}
