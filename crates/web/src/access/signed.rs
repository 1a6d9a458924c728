//! Requests that a trusted key signed (docs/SIGNING.md, "Signed requests").

use axum::body::{Body, to_bytes};
use beacon_domain::{IdempotencyAsk, IdempotencyKey, Idempotent};
use beacon_spec::{RequestParts, RequestSignature, Sha256Digest, Trust, VerifyError};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, request::Parts};

use super::Caller;
use crate::{
    api::{App, MAX_SKEW},
    error::ApiError,
};

const INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";
/// The longest body of a request that steers.
const MAX_BODY: usize = 64 * 1024;

pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key(INPUT) || headers.contains_key(SIGNATURE)
}

/// A body that must be short.
pub(super) async fn small(body: Body) -> Result<Bytes, ApiError> {
    to_bytes(body, MAX_BODY).await.map_err(|_| {
        let message = format!("this route takes no body of more than {MAX_BODY} bytes; send none");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    })
}

/// The key that signed this request: trusted, fresh, and for the first time with this nonce.
pub(super) async fn signer(app: &App, parts: &Parts, body: &[u8]) -> Result<Caller, ApiError> {
    let (input, signature) = (only(&parts.headers, INPUT)?, only(&parts.headers, SIGNATURE)?);
    let signature = RequestSignature::parse(input, signature)?;
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str).or(host).unwrap_or_default();
    let signed = RequestParts {
        method: parts.method.as_str(),
        authority: &authority.to_ascii_lowercase(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        body: Sha256Digest::of(body),
    };
    let verified = signature.verify(&signed, app.api.keys.as_ref(), app.api.clock.now(), app.api.freshness());
    let key = verified.map_err(refused)?;
    app.throttle.key_may(&key.public_key)?;
    // A copy ends here, before the key is charged.
    keep_nonce(app, &key.public_key, signature.nonce()).await?;
    app.throttle.key_did(&key.public_key);
    Ok(Caller::Key(key.kid))
}

/// What is wrong with the signature of a request, where the words are those of a job's.
fn refused(error: VerifyError) -> ApiError {
    let message = match error {
        VerifyError::SignatureMismatch => {
            "the signature is not that of this request: its method, host with port, path, query and body are signed, \
             and a proxy must pass `host` on as it came"
        }
        VerifyError::TooOld => "the signature is too old; sign the request again",
        VerifyError::Trust(Trust::Revoked) => {
            "the signing key is revoked; sign the request with another key, or use a token"
        }
        other => return other.into(),
    };
    ApiError::from(error).saying(message)
}

/// A header that is there once. A second one could be what somebody else reads.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, ApiError> {
    let mut values = headers.get_all(name).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) => Ok(value),
        _ => {
            let message = "a signed request has each of the headers signature-input and signature once";
            Err(ApiError::new(StatusCode::UNAUTHORIZED, format!("missing_field:{name}"), message))
        }
    }
}

/// Keeps a nonce for as long as its signature could be fresh; a second use is refused, in all processes.
async fn keep_nonce(app: &App, public_key: &[u8; 32], nonce: &str) -> Result<(), ApiError> {
    let keep = app.api.limits.max_age + 2 * MAX_SKEW;
    let owner = format!("nonces of {}", hex::encode(public_key));
    let ask = IdempotencyAsk {
        key: IdempotencyKey { owner, key: nonce.to_owned() },
        request: Sha256Digest::of(nonce.as_bytes()),
        keep,
        patience: keep,
        now: app.api.clock.now(),
    };
    match app.api.operations.begin(ask).await? {
        Idempotent::First { .. } => Ok(()),
        _ => {
            let message = "the nonce was used before; sign the request again with a new one";
            Err(ApiError::new(StatusCode::CONFLICT, "nonce_replayed", message))
        }
    }
}
