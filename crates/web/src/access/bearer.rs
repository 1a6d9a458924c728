//! Tokens: looked up by their hashes, and remembered for a few seconds.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use beacon_domain::{ApiToken, Monotonic, Scope, TokenSecret};
use beacon_spec::Sha256Digest;
use http::{Extensions, HeaderMap, StatusCode, header};

use super::Caller;
use crate::{api::App, error::ApiError, throttle::address};

/// For how long a token that was revoked elsewhere may still be taken.
pub(super) const REMEMBERED: Duration = Duration::from_secs(5);
/// The most tokens that are remembered; those that are not in use go first.
const MOST: usize = 1024;

/// Tokens that the store knew. Wrong ones are not remembered: guessing takes no memory.
#[derive(Default)]
pub(crate) struct TokenCache(Mutex<HashMap<Sha256Digest, Seen>>);

/// A token that was good when it was looked up last.
struct Seen {
    token: ApiToken,
    /// When that was; nothing if it must be looked up again at once.
    at: Option<Monotonic>,
}

impl Seen {
    fn is_fresh(&self, now: Monotonic) -> bool {
        self.at.is_some_and(|at| now.since(at) < REMEMBERED)
    }
}

/// What is known of a token without asking the store.
enum Known {
    /// The store knew it a moment ago.
    Good(Box<ApiToken>),
    /// It was good once, so it is no guess. Whether it still is, the store says.
    Once,
    /// Nobody has seen it, or it turned out to be none.
    Nothing,
}

impl TokenCache {
    fn find(&self, hash: Sha256Digest, now: Monotonic) -> Known {
        match self.seen().get(&hash) {
            Some(seen) if seen.is_fresh(now) => Known::Good(Box::new(seen.token.clone())),
            Some(_) => Known::Once,
            None => Known::Nothing,
        }
    }

    /// What the store said of a token just now.
    fn learn(&self, hash: Sha256Digest, found: Option<&ApiToken>, now: Monotonic) {
        let mut known = self.seen();
        let Some(token) = found else {
            known.remove(&hash);
            return;
        };
        if known.len() >= MOST {
            known.retain(|_, seen| seen.is_fresh(now));
        }
        if known.len() < MOST {
            known.insert(hash, Seen { token: token.clone(), at: Some(now) });
        }
    }

    /// Has them all looked up again, because one was revoked here.
    pub(crate) fn doubt(&self) {
        self.seen().values_mut().for_each(|seen| seen.at = None);
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<Sha256Digest, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    let token = known(app, headers, extensions, shown).await?;
    let now = app.api.clock.now();
    if !token.allows(Scope::Read, now) {
        return Err(wrong());
    }
    if !token.allows(needed, now) {
        let message = format!("the token has the scope {}, and this needs {needed}", token.scope);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "scope_too_narrow", message));
    }
    Ok((Caller::Token(token.id), token.scope))
}

/// The token of the store that is shown.
async fn known(
    app: &App,
    headers: &HeaderMap,
    extensions: &Extensions,
    shown: &str,
) -> Result<ApiToken, ApiError> {
    let hash = Sha256Digest::of(shown.as_bytes());
    let (now, monotonic) = (app.api.clock.now(), app.api.clock.monotonic());
    match app.tokens.find(hash, monotonic) {
        Known::Good(token) => return Ok(*token),
        // Whoever guesses from its address locks it out of nothing.
        Known::Once => {}
        // Counted before anybody looks, so that a guess costs the store nothing beyond the rate.
        Known::Nothing => app.throttle.lookup(address(&app.api.proxies, headers, extensions))?,
    }
    let found = match shown.parse::<TokenSecret>() {
        Ok(_) => app.api.operations.find_token(hash, now).await?,
        Err(_) => None,
    };
    let good = found.filter(|token| token.allows(Scope::Read, now));
    app.tokens.learn(hash, good.as_ref(), monotonic);
    good.ok_or_else(wrong)
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
