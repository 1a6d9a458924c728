//! Tokens for people and programs.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use beacon_domain::{ApiToken, Scope, TokenSecret};
use beacon_spec::Timestamp;
use http::StatusCode;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    access::Admin,
    api::App,
    error::ApiError,
    extract::{Asked, JsonBytes, NamePath, parse},
    idempotency::{Done, Once, RepeatKey},
    limits::{self, Rows},
};

/// The longest name, in characters.
const LONGEST_NAME: usize = 255;

/// What a token allows; each allows what those before it do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = Scope)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScopeShape {
    Read,
    Operate,
    Admin,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What it is for.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    scope: ScopeShape,
    /// From when on it allows nothing, later than now; left out, it does not expire.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Token {
    id: String,
    name: String,
    scope: ScopeShape,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// To the minute; null if it was never shown.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

/// A token that was made now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeToken {
    #[serde(flatten)]
    made: Token,
    /// The token itself. It is shown this once, and null when the request is repeated under its idempotency key.
    token: Option<String>,
}

/// Tokens, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tokens {
    tokens: Vec<Token>,
}

/// How many tokens to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokensQuery {
    /// The most rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Rows>,
}

/// Tokens, the newest first, revoked and expired ones too
#[utoipa::path(get, path = "/api/v1/admin/tokens", tag = "admin", operation_id = "list_tokens",
    params(TokensQuery), security(("token" = [])),
    responses((status = 200, description = "The tokens", body = Tokens)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    _: Admin,
    Asked(query): Asked<TokensQuery>,
) -> Result<Json<Tokens>, ApiError> {
    let tokens = app.api.operations.tokens(limits::rows(query.limit)).await?;
    Ok(Json(Tokens { tokens: tokens.into_iter().map(Token::from).collect() }))
}

/// Makes a token; only its hash is kept
#[utoipa::path(post, path = "/api/v1/admin/tokens", tag = "admin", operation_id = "add_token", params(RepeatKey),
    security(("token" = [])), request_body(content = NewToken, content_type = "application/json"),
    responses((status = 201, description = "The token, shown this once", body = MadeToken)))]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    once: Once,
    JsonBytes(body): JsonBytes,
) -> Result<Response, ApiError> {
    let deed = async {
        let NewToken { name, scope, expires_at } = parse(&body)?;
        if !(1..=LONGEST_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            let message = format!("name must have 1 to {LONGEST_NAME} characters without control characters");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_body", message));
        }
        let expires_at = expires_at.map(|text| end(&text, app.api.clock.now())).transpose()?;
        let (mut id, mut secret) = ([0_u8; 4], [0_u8; 32]);
        rand::rng().fill(&mut id);
        rand::rng().fill(&mut secret);
        let secret = TokenSecret::of(id, secret);
        let token = ApiToken::new(&secret, &name, scope.into(), expires_at, app.api.clock.now());
        caller.note(&app, "token.new", token.id.clone(), Some(format!("{}, {name:?}", token.scope))).await?;
        app.api.operations.add_token(token.clone()).await?;
        let shown = MadeToken { made: token.into(), token: Some(secret.reveal().to_owned()) };
        let kept = MadeToken { made: shown.made.clone(), token: None };
        Done::new(StatusCode::CREATED, &shown)?.keeping(&kept)
    };
    once.run(&app, caller.name(), &body, deed).await
}

/// From when on a token is to allow nothing.
fn end(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let refuse =
        |message: &str| Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_field:expires_at", message));
    match text.parse::<Timestamp>() {
        Ok(at) if at > now => Ok(at),
        Ok(_) => {
            refuse("expires_at is past: the token would allow nothing; give a later time, or leave it out")
        }
        Err(_) => refuse(
            "expires_at must be a time such as 2030-01-01T00:00:00Z, before 9999-12-31; leave it out for a token \
             that does not expire",
        ),
    }
}

/// Revokes a token for good, here at once and in other processes within five seconds
#[utoipa::path(delete, path = "/api/v1/admin/tokens/{id}", tag = "admin", operation_id = "revoke_token",
    params(("id" = String, Path, description = "The token's id: what stands before its secret")),
    security(("token" = [])),
    responses((status = 204, description = "It is revoked")))]
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    NamePath(id): NamePath,
) -> Result<StatusCode, ApiError> {
    caller.note(&app, "token.revoke", id.clone(), None).await?;
    let there = app.api.operations.revoke_token(id, app.api.clock.now()).await?;
    app.tokens.doubt();
    if there {
        return Ok(StatusCode::NO_CONTENT);
    }
    let message = "there is no such token; GET /api/v1/admin/tokens lists them";
    Err(ApiError::new(StatusCode::NOT_FOUND, "token_not_found", message))
}

impl From<ApiToken> for Token {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scope: token.scope.into(),
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            last_used_at: token.last_used_at,
        }
    }
}

impl From<Scope> for ScopeShape {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Operate => Self::Operate,
            Scope::Admin => Self::Admin,
        }
    }
}

impl From<ScopeShape> for Scope {
    fn from(shape: ScopeShape) -> Self {
        match shape {
            ScopeShape::Read => Self::Read,
            ScopeShape::Operate => Self::Operate,
            ScopeShape::Admin => Self::Admin,
        }
    }
}
