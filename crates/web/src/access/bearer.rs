//! Tokens: looked up by their hashes, and remembered for a few seconds.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use beacon_domain::{ApiToken, Monotonic, Scope, TokenSecret};
use beacon_spec::Sha256Digest;
use http::{Extensions, HeaderMap, StatusCode, header};

use super::Caller;
use crate::{api::App, error::ApiError, throttle::address};

/// For how long a token that was revoked elsewhere may still be taken.
const REMEMBERED: Duration = Duration::from_secs(5);
/// The most tokens that are remembered.
const MOST: usize = 1024;

/// Tokens that the store knew a moment ago. Wrong ones are not remembered: guessing takes no memory.
#[derive(Default)]
pub(crate) struct TokenCache(Mutex<HashMap<Sha256Digest, (ApiToken, Monotonic)>>);

impl TokenCache {
    fn find(&self, hash: Sha256Digest, now: Monotonic) -> Option<ApiToken> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&hash).filter(|(_, at)| now.since(*at) < REMEMBERED).map(|(token, _)| token.clone())
    }

    fn remember(&self, token: ApiToken, now: Monotonic) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (_, at)| now.since(*at) < REMEMBERED);
        }
        if known.len() < MOST {
            known.insert(token.hash, (token, now));
        }
    }

    /// Forgets them all, because one was revoked here.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What a request shows as its token, if it shows one.
pub(super) fn shown(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    // The scheme's case does not matter (RFC 9110, 11.1).
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whoever shows a token that allows this much.
pub(crate) async fn bearer(
    app: &App,
    headers: &HeaderMap,
    extensions: &Extensions,
    needed: Scope,
) -> Result<Caller, ApiError> {
    scoped(app, headers, extensions, needed).await.map(|(caller, _)| caller)
}

/// The same, with all that the token allows.
pub(super) async fn scoped(
    app: &App,
    headers: &HeaderMap,
    extensions: &Extensions,
    needed: Scope,
) -> Result<(Caller, Scope), ApiError> {
    let Some(shown) = shown(headers) else {
        let message = format!("send a token of the scope {needed} as `Authorization: Bearer …`");
        return Err(challenge("token_required", message));
    };
    if app.api.operator.as_ref().is_some_and(|operator| operator.is(shown)) {
        return Ok((Caller::Operator, Scope::Admin));
    }
    let hash = Sha256Digest::of(shown.as_bytes());
    let (now, monotonic) = (app.api.clock.now(), app.api.clock.monotonic());
    let token = match app.tokens.find(hash, monotonic) {
        Some(token) => token,
        None => {
            // Counted before anybody looks, so that a guess costs the store nothing beyond the rate.
            app.throttle.lookup(address(&app.api.proxies, headers, extensions))?;
            let found = match shown.parse::<TokenSecret>() {
                Ok(_) => app.api.operations.find_token(hash, now).await?,
                Err(_) => None,
            };
            let token = found.ok_or_else(wrong)?;
            app.tokens.remember(token.clone(), monotonic);
            token
        }
    };
    if !token.allows(Scope::Read, now) {
        return Err(wrong());
    }
    if !token.allows(needed, now) {
        let message = format!("the token has the scope {}, and this needs {needed}", token.scope);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "scope_too_narrow", message));
    }
    Ok((Caller::Token(token.id), token.scope))
}

/// One answer for tokens that are unknown, expired or revoked.
fn wrong() -> ApiError {
    challenge(
        "wrong_token",
        "the token is unknown, expired or revoked; ask an administrator for another".into(),
    )
}

fn challenge(code: &str, message: String) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, message).with(header::WWW_AUTHENTICATE, "Bearer")
}
