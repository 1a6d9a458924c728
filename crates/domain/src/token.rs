//! Tokens of the API: who may read, operate and administer without a signature (A1).

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use beacon_spec::{Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Tokens, by the hashes of their secrets. The secrets are in no store.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Writes a new token.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if its id or its hash is there.
    async fn add_token(&self, token: ApiToken) -> Result<(), StoreError>;

    /// The token with this hash, revoked or expired or not. `now` becomes its last use, to the minute.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn find_token(&self, hash: Sha256Digest, now: Timestamp) -> Result<Option<ApiToken>, StoreError>;

    /// Revokes a token for good. `false`: there is none of this id; a second time is as the first.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn revoke_token(&self, id: String, now: Timestamp) -> Result<bool, StoreError>;

    /// At most `n` tokens, the newest first.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn tokens(&self, n: u32) -> Result<Vec<ApiToken>, StoreError>;
}

/// What a token allows; each scope allows what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To look.
    Read,
    /// To steer jobs: cancel, pause, resume, retry.
    Operate,
    /// To steer endpoints, and to decide who may do what.
    Admin,
}

/// A token, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its public name: the part of the token before the secret.
    pub id: String,
    /// What it is for, in the words of whoever made it.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// The SHA-256 of the whole token.
    #[serde(skip_serializing, default = "no_digest")]
    pub hash: Sha256Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it allows nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last shown, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// A token with its secret, to be shown once. `Debug` hides it.
#[derive(Clone)]
pub struct TokenSecret(String);

/// Not the form of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is beacon_ and 8 hex digits, an underscore and 64 hex digits")]
pub struct NoToken;

const PREFIX: &str = "beacon_";
const ID_DIGITS: usize = 8;
const SECRET_DIGITS: usize = 64;

impl TokenSecret {
    /// The token of these random bytes: 4 for its id, 32 that nobody can guess.
    #[must_use]
    pub fn of(id: [u8; 4], secret: [u8; 32]) -> Self {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Self(format!("{PREFIX}{}_{}", hex(&id), hex(&secret)))
    }

    /// The token itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Its public name, such as `beacon_1f2e3d4c`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0[..PREFIX.len() + ID_DIGITS]
    }

    /// What is kept of it. A secret of 256 random bits needs no slow hash.
    #[must_use]
    pub fn hash(&self) -> Sha256Digest {
        Sha256Digest::of(self.0.as_bytes())
    }
}

impl FromStr for TokenSecret {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let is_hex = |part: &str| part.chars().all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f'));
        let parts = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
        let (id, secret) = parts.ok_or(NoToken)?;
        let fits = id.len() == ID_DIGITS && secret.len() == SECRET_DIGITS && is_hex(id) && is_hex(secret);
        if fits { Ok(Self(text.to_owned())) } else { Err(NoToken) }
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSecret({}_…)", self.id())
    }
}

impl ApiToken {
    /// A token that is made now.
    #[must_use]
    pub fn new(
        secret: &TokenSecret,
        name: &str,
        scope: Scope,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: secret.id().to_owned(),
            name: name.to_owned(),
            scope,
            hash: secret.hash(),
            created_at: now,
            expires_at,
            revoked_at: None,
            last_used_at: None,
        }
    }

    /// Whether it allows what this scope does, now.
    #[must_use]
    pub fn allows(&self, scope: Scope, now: Timestamp) -> bool {
        self.scope >= scope && self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// A use, to the minute: nobody needs it more exactly, and a row is written at most once a minute.
#[must_use]
pub fn to_the_minute(now: Timestamp) -> Timestamp {
    let second = now.as_second();
    Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(now)
}

impl Scope {
    /// Every scope, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Admin];

    /// The name in stores, JSON and docs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = crate::UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        known.ok_or_else(|| crate::UnknownState(text.to_owned()))
    }
}

/// Hashes stay in the store.
const fn no_digest() -> Sha256Digest {
    Sha256Digest::from_bytes([0; 32])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TokenSecret {
        TokenSecret::of([1, 2, 3, 4], [0xab; 32])
    }

    #[test]
    fn a_token_is_read_back_and_anything_else_is_not() {
        let secret = secret();

        assert_eq!(secret.id(), "beacon_01020304");
        assert_eq!(secret.reveal().parse::<TokenSecret>().unwrap().hash(), secret.hash());
        let shorter = &secret.reveal()[..secret.reveal().len() - 1];
        for text in ["", "beacon_01020304", shorter, &secret.reveal().to_uppercase(), &format!("x{shorter}")]
        {
            assert_eq!(text.parse::<TokenSecret>().unwrap_err(), NoToken, "{text}");
        }
    }

    #[test]
    fn neither_debug_nor_json_tells_a_secret_or_its_hash() {
        let token = ApiToken::new(&secret(), "ci", Scope::Read, None, Timestamp::UNIX_EPOCH);

        assert!(!format!("{:?}", secret()).contains("abab"));
        assert!(!serde_json::to_string(&token).unwrap().contains(&secret().hash().to_string()));
    }

    #[test]
    fn a_token_allows_its_scope_and_less_until_it_expires_or_is_revoked() {
        let (then, later) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        let mut token = ApiToken::new(&secret(), "ci", Scope::Operate, Some(later), then);

        assert!(token.allows(Scope::Read, then) && token.allows(Scope::Operate, then));
        assert!(!token.allows(Scope::Admin, then));
        assert!(!token.allows(Scope::Read, later), "it has expired");
        token.revoked_at = Some(then);
        assert!(!token.allows(Scope::Read, then), "it is revoked");
    }
}
