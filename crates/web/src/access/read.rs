//! Reads: those that need a token, where the configuration says so, and what a token shows more of.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use beacon_domain::Scope;
use http::{Extensions, HeaderMap, Method, header, request::Parts};

use super::bearer::{REMEMBERED, scoped, shown};
use crate::api::App;

/// What is open whatever the configuration says: what orchestrators ask, and what says how to ask.
const OPEN: [&str; 8] = [
    "/health",
    "/ready",
    "/version",
    "/openapi.json",
    "/docs",
    "/api/v1/health",
    "/api/v1/health/live",
    "/api/v1/health/ready",
];

/// Whether a path is read without asking who reads.
pub(crate) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
}

/// What the token of a read allows; nothing if it shows none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reader(Option<Scope>);

impl Reader {
    /// Whether it may see what concerns the operator alone.
    pub(crate) fn may_operate(self) -> bool {
        self.0.is_some_and(|scope| scope >= Scope::Operate)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or_default())
    }
}

/// Refuses reads without a token if `api.require_token_to_read` is set, and everything with a wrong one: whoever shows a token is
/// told that it is no longer one. Whatever changes something has a guard of its own beside this.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let needed = reads && app.api.require_token_to_read;
    if is_open(request.uri().path()) || !needed && shown(request.headers()).is_none() {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match scoped(&app, &parts.headers, &parts.extensions, Scope::Read).await {
        Ok((_, scope)) => {
            parts.extensions.insert(Reader(Some(scope)));
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => error.into_response(),
    }
}

/// Returns within seconds after the token that a request showed was revoked or has expired; never if it showed none.
pub(crate) fn until_refused(app: Arc<App>, parts: &Parts) -> impl Future<Output = ()> + Send + use<> {
    let token = shown(&parts.headers).and_then(|_| parts.headers.get(header::AUTHORIZATION).cloned());
    async move {
        let Some(token) = token else { return std::future::pending().await };
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, token)]);
        loop {
            app.api.clock.sleep_until(app.api.clock.monotonic() + REMEMBERED).await;
            let still = scoped(&app, &headers, &Extensions::new(), Scope::Read).await;
            if still.is_err_and(|error| error.is_refused_token()) {
                return;
            }
        }
    }
}
