//! Who may do what: tokens and trusted keys.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{ApiToken, StoreError, StoredKey, TokenStore, TrustStore, to_the_minute};
use beacon_spec::{KeyId, Sha256Digest, Timestamp, TrustedKey};
use tokio_postgres::types::Type;

use super::{
    PostgresStore,
    codec::{At, digest, json, maybe_time, named, text},
    error::Fault,
    transaction::{Kind, Line, Tx, Work},
};
use crate::{
    policy::Policy,
    rules::{another_has_the_kid, is_revoked, token_is_there},
};

#[async_trait]
impl TokenStore for PostgresStore {
    async fn add_token(&self, token: ApiToken) -> Result<(), StoreError> {
        self.core.connections.run(&AddToken(&token)).await
    }

    async fn find_token(&self, hash: Sha256Digest, now: Timestamp) -> Result<Option<ApiToken>, StoreError> {
        let Some(mut found) = self.core.connections.run(&FindToken(hash)).await? else { return Ok(None) };
        let used = to_the_minute(now);
        if found.last_used_at < Some(used) {
            found.last_used_at = Some(used);
            self.core.connections.run(&Used { hash, used }).await?;
        }
        Ok(Some(found))
    }

    async fn revoke_token(&self, id: String, now: Timestamp) -> Result<bool, StoreError> {
        self.core.connections.run(&RevokeToken { id: &id, now }).await
    }

    async fn tokens(&self, n: u32) -> Result<Vec<ApiToken>, StoreError> {
        self.core.connections.run(&Tokens(n)).await
    }
}

struct AddToken<'a>(&'a ApiToken);

#[async_trait]
impl Work for AddToken<'_> {
    type Output = ();
    const NAME: &'static str = "add_token";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = false;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        const ADD: &str = "-- access::add_token
            INSERT INTO beacon.tokens (id, name, scope, hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT DO NOTHING";
        let ApiToken { id, name, scope, hash, created_at, expires_at, .. } = self.0;
        let (created_at, expires_at) = (At::from(*created_at), expires_at.map(At::from));
        let values = [
            (id as _, Type::TEXT),
            (name as _, Type::TEXT),
            (&scope.as_str() as _, Type::TEXT),
            (&hash.as_bytes().as_slice() as _, Type::BYTEA),
            (&created_at as _, Type::TIMESTAMPTZ),
            (&expires_at as _, Type::TIMESTAMPTZ),
        ];
        if tx.execute(ADD, &values).await? == 1 { Ok(()) } else { Err(token_is_there(id).into()) }
    }
}

struct FindToken(Sha256Digest);

#[async_trait]
impl Work for FindToken {
    type Output = Option<ApiToken>;
    const NAME: &'static str = "find_token";
    // Asked for with each request.
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Option<ApiToken>, Fault> {
        const FIND: &str = "-- access::find_token
            SELECT id, name, scope, hash, created_at, expires_at, revoked_at, last_used_at FROM beacon.tokens
            WHERE hash = $1";
        let line = tx.maybe(FIND, &[(&self.0.as_bytes().as_slice(), Type::BYTEA)]).await?;
        line.as_ref().map(token).transpose()
    }
}

struct Used {
    hash: Sha256Digest,
    used: Timestamp,
}

#[async_trait]
impl Work for Used {
    type Output = ();
    const NAME: &'static str = "token_used";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        const USED: &str = "-- access::used
            UPDATE beacon.tokens SET last_used_at = $2
            WHERE hash = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
        let (hash, used) = (self.hash.as_bytes().as_slice(), At::from(self.used));
        tx.execute(USED, &[(&hash, Type::BYTEA), (&used, Type::TIMESTAMPTZ)]).await.map(drop)
    }
}

struct RevokeToken<'a> {
    id: &'a str,
    now: Timestamp,
}

#[async_trait]
impl Work for RevokeToken<'_> {
    type Output = bool;
    const NAME: &'static str = "revoke_token";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<bool, Fault> {
        const REVOKE: &str = "-- access::revoke_token
            UPDATE beacon.tokens SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1";
        let now = At::from(self.now);
        Ok(tx.execute(REVOKE, &[(&self.id, Type::TEXT), (&now, Type::TIMESTAMPTZ)]).await? == 1)
    }
}

struct Tokens(u32);

#[async_trait]
impl Work for Tokens {
    type Output = Vec<ApiToken>;
    const NAME: &'static str = "tokens";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<ApiToken>, Fault> {
        const TOKENS: &str = "-- access::tokens
            SELECT id, name, scope, hash, created_at, expires_at, revoked_at, last_used_at FROM beacon.tokens
            ORDER BY no DESC LIMIT $1";
        tx.rows(TOKENS, &[(&i64::from(self.0), Type::INT8)]).await?.iter().map(token).collect()
    }
}

fn token(line: &Line) -> Result<ApiToken, Fault> {
    Ok(ApiToken {
        id: line.get(0)?,
        name: line.get(1)?,
        scope: named(line, 2)?,
        hash: digest(line, 3)?,
        created_at: line.get::<At>(4)?.time(),
        expires_at: maybe_time(line, 5)?,
        revoked_at: maybe_time(line, 6)?,
        last_used_at: maybe_time(line, 7)?,
    })
}

#[async_trait]
impl TrustStore for PostgresStore {
    async fn trust(&self, key: TrustedKey, by: String, now: Timestamp) -> Result<(), StoreError> {
        self.core.connections.run(&PutKey { key: &key, by: &by, now, revoke: false }).await
    }

    async fn distrust(&self, key: TrustedKey, by: String, now: Timestamp) -> Result<(), StoreError> {
        self.core.connections.run(&PutKey { key: &key, by: &by, now, revoke: true }).await
    }

    async fn trusted_keys(&self, n: u32) -> Result<Vec<StoredKey>, StoreError> {
        self.core.connections.run(&Keys(n)).await
    }
}

struct PutKey<'a> {
    key: &'a TrustedKey,
    by: &'a str,
    now: Timestamp,
    revoke: bool,
}

#[async_trait]
impl Work for PutKey<'_> {
    type Output = ();
    const NAME: &'static str = "put_key";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        // A few changes a year: one at a time.
        const LOCK: &str = "-- access::lock_keys
            LOCK TABLE beacon.trusted_keys IN SHARE ROW EXCLUSIVE MODE";
        const KNOWN: &str = "-- access::known_key
            SELECT kid = $1 AND public_key = $2, revoked_at IS NOT NULL FROM beacon.trusted_keys
            WHERE kid = $1 OR public_key = $2";
        const PUT: &str = "-- access::put_key
            INSERT INTO beacon.trusted_keys (kid, public_key, policy, added_at, added_by, revoked_at, revoked_by)
            VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN $4 END, CASE WHEN $6 THEN $5 END)
            ON CONFLICT (kid) DO UPDATE SET policy = excluded.policy, revoked_at = excluded.revoked_at,
                revoked_by = excluded.revoked_by";
        let (kid, public_key) = (self.key.kid.as_str(), self.key.public_key.as_slice());
        let policy = text(&Policy::of(self.key))?;
        let now = At::from(self.now);
        let values = [
            (&kid as _, Type::TEXT),
            (&public_key as _, Type::BYTEA),
            (&policy as _, Type::TEXT),
            (&now as _, Type::TIMESTAMPTZ),
            (&self.by as _, Type::TEXT),
            (&self.revoke as _, Type::BOOL),
        ];
        tx.execute(LOCK, &[]).await?;
        for line in &tx.rows(KNOWN, &values[..2]).await? {
            let (same, revoked): (bool, bool) = (line.get(0)?, line.get(1)?);
            if !same {
                return Err(another_has_the_kid(&self.key.kid).into());
            }
            if revoked {
                return if self.revoke { Ok(()) } else { Err(is_revoked(&self.key.kid).into()) };
            }
        }
        tx.execute(PUT, &values).await.map(drop)
    }
}

struct Keys(u32);

#[async_trait]
impl Work for Keys {
    type Output = Vec<StoredKey>;
    const NAME: &'static str = "trusted_keys";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<StoredKey>, Fault> {
        const KEYS: &str = "-- access::keys
            SELECT kid, public_key, policy, added_by, added_at, revoked_by, revoked_at FROM beacon.trusted_keys
            ORDER BY kid LIMIT $1";
        tx.rows(KEYS, &[(&i64::from(self.0), Type::INT8)]).await?.iter().map(stored_key).collect()
    }
}

fn stored_key(line: &Line) -> Result<StoredKey, Fault> {
    let kid = KeyId::new(line.get::<String>(0)?).map_err(|error| line.unreadable(error))?;
    let public_key = line.get::<&[u8]>(1)?.try_into();
    let public_key = public_key.map_err(|error: std::array::TryFromSliceError| line.unreadable(error))?;
    let revoked = line.get::<Option<String>>(5)?.zip(maybe_time(line, 6)?);
    Ok(StoredKey {
        key: json::<Policy>(line, 2)?.key(kid, public_key, revoked.is_some()),
        added_by: line.get(3)?,
        added_at: line.get::<At>(4)?.time(),
        revoked,
    })
}
