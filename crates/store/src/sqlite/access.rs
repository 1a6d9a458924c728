//! Who may do what: tokens, keys and the audit trail.

use async_trait::async_trait;
use beacon_domain::{
    ApiToken, AuditEntry, AuditTrail, Page, StoreError, StoredKey, TokenStore, TrustStore, to_the_minute,
};
use beacon_spec::{KeyId, Sha256Digest, Timestamp, TrustedKey};
use rusqlite::{OptionalExtension, Row, params, types::Type};

use super::{
    SqliteStore,
    codec::{json, maybe_time, micros, state, text, time},
    writer::{Durability, Fault, Writer},
};
use crate::{
    policy::Policy,
    rules::{another_has_the_kid, is_revoked, page, token_is_there},
};

#[async_trait]
impl TokenStore for SqliteStore {
    async fn add_token(&self, token: ApiToken) -> Result<(), StoreError> {
        const ADD: &str = "-- access::add_token
            INSERT INTO tokens (id, name, scope, hash, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT DO NOTHING";
        self.threads
            .write(Durability::Disk, move |writer| {
                let added = writer.connection.prepare_cached(ADD)?.execute(params![
                    token.id,
                    token.name,
                    token.scope.as_str(),
                    token.hash.as_bytes(),
                    micros(token.created_at),
                    token.expires_at.map(micros)
                ])?;
                if added == 1 { Ok(()) } else { Err(token_is_there(&token.id).into()) }
            })
            .await
    }

    async fn find_token(&self, hash: Sha256Digest, now: Timestamp) -> Result<Option<ApiToken>, StoreError> {
        const FIND: &str = "-- access::find_token
            SELECT id, name, scope, hash, created_at, expires_at, revoked_at, last_used_at FROM tokens WHERE hash = ?1";
        const USED: &str = "-- access::used
            UPDATE tokens SET last_used_at = ?2 WHERE hash = ?1";
        let used = to_the_minute(now);
        let find = move |connection: &rusqlite::Connection| -> Result<Option<ApiToken>, Fault> {
            Ok(connection.prepare_cached(FIND)?.query_row([hash.as_bytes()], token).optional()?)
        };
        let Some(mut found) = self.threads.read(find).await? else { return Ok(None) };
        if found.last_used_at < Some(used) {
            found.last_used_at = Some(used);
            let write = move |writer: &mut Writer| {
                writer.connection.prepare_cached(USED)?.execute(params![hash.as_bytes(), micros(used)])?;
                Ok(())
            };
            self.threads.write(Durability::Process, write).await?;
        }
        Ok(Some(found))
    }

    async fn revoke_token(&self, id: String, now: Timestamp) -> Result<bool, StoreError> {
        const REVOKE: &str = "-- access::revoke_token
            UPDATE tokens SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1";
        self.threads
            .write(Durability::Disk, move |writer| {
                Ok(writer.connection.prepare_cached(REVOKE)?.execute(params![id, micros(now)])? == 1)
            })
            .await
    }

    async fn tokens(&self, n: u32) -> Result<Vec<ApiToken>, StoreError> {
        const TOKENS: &str = "-- access::tokens
            SELECT id, name, scope, hash, created_at, expires_at, revoked_at, last_used_at FROM tokens
            ORDER BY no DESC LIMIT ?1";
        self.threads
            .read(move |connection| {
                let mut query = connection.prepare_cached(TOKENS)?;
                let tokens = query.query_map([n], token)?;
                Ok(tokens.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }
}

fn token(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    Ok(ApiToken {
        id: row.get(0)?,
        name: row.get(1)?,
        scope: state(row, 2)?,
        hash: Sha256Digest::from_bytes(row.get(3)?),
        created_at: time(row, 4)?,
        expires_at: maybe_time(row, 5)?,
        revoked_at: maybe_time(row, 6)?,
        last_used_at: maybe_time(row, 7)?,
    })
}

#[async_trait]
impl TrustStore for SqliteStore {
    async fn trust(&self, key: TrustedKey, by: String, now: Timestamp) -> Result<(), StoreError> {
        self.threads.write(Durability::Disk, move |writer| writer.put_key(&key, &by, now, false)).await
    }

    async fn distrust(&self, key: TrustedKey, by: String, now: Timestamp) -> Result<(), StoreError> {
        self.threads.write(Durability::Disk, move |writer| writer.put_key(&key, &by, now, true)).await
    }

    async fn trusted_keys(&self, n: u32) -> Result<Vec<StoredKey>, StoreError> {
        const KEYS: &str = "-- access::keys
            SELECT kid, public_key, policy, added_by, added_at, revoked_by, revoked_at FROM trusted_keys
            ORDER BY kid LIMIT ?1";
        self.threads
            .read(move |connection| {
                let mut query = connection.prepare_cached(KEYS)?;
                let keys = query.query_map([n], stored_key)?;
                Ok(keys.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }
}

fn stored_key(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    let unreadable = |error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error));
    let kid = KeyId::new(row.get::<_, String>(0)?).map_err(unreadable)?;
    let (by, at): (Option<String>, _) = (row.get(5)?, maybe_time(row, 6)?);
    let revoked = by.zip(at);
    Ok(StoredKey {
        key: json::<Policy>(row, 2)?.key(kid, row.get(1)?, revoked.is_some()),
        added_by: row.get(3)?,
        added_at: time(row, 4)?,
        revoked,
    })
}

impl Writer {
    fn put_key(&self, key: &TrustedKey, by: &str, now: Timestamp, revoke: bool) -> Result<(), Fault> {
        const KNOWN: &str = "-- access::known_key
            SELECT count(*), coalesce(sum(kid = ?1 AND public_key = ?2), 0), coalesce(max(revoked_at IS NOT NULL), 0)
            FROM trusted_keys WHERE kid = ?1 OR public_key = ?2";
        const PUT: &str = "-- access::put_key
            INSERT INTO trusted_keys (kid, public_key, policy, added_at, added_by, revoked_at, revoked_by)
            VALUES (?1, ?2, ?3, ?4, ?5, iif(?6, ?4, NULL), iif(?6, ?5, NULL))
            ON CONFLICT (kid) DO UPDATE SET policy = excluded.policy, revoked_at = excluded.revoked_at,
                revoked_by = excluded.revoked_by";
        let kid = key.kid.as_str();
        let mut known = self.connection.prepare_cached(KNOWN)?;
        let (rows, same, revoked): (u32, u32, bool) = known
            .query_row(params![kid, key.public_key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if rows != same {
            return Err(another_has_the_kid(&key.kid).into());
        }
        if revoked {
            return if revoke { Ok(()) } else { Err(is_revoked(&key.kid).into()) };
        }
        let policy = text(&Policy::of(key))?;
        let values = params![kid, key.public_key, policy, micros(now), by, revoke];
        self.connection.prepare_cached(PUT)?.execute(values)?;
        Ok(())
    }
}

#[async_trait]
impl AuditTrail for SqliteStore {
    async fn note(&self, entry: AuditEntry) -> Result<(), StoreError> {
        const NOTE: &str = "-- access::note
            INSERT INTO audit (at, who, action, subject, detail, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.threads
            .write(Durability::Disk, move |writer| {
                let AuditEntry { at, who, action, subject, detail, request_id } = entry;
                let values = params![micros(at), who, action, subject, detail, request_id];
                writer.connection.prepare_cached(NOTE)?.execute(values)?;
                Ok(())
            })
            .await
    }

    async fn audit(&self, cursor: Option<String>, n: u32) -> Result<Page<AuditEntry>, StoreError> {
        const AUDIT: &str = "-- access::audit
            SELECT at, who, action, subject, detail, request_id, no FROM audit WHERE no < ?1 ORDER BY no DESC LIMIT ?2";
        let before = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(i64::MAX);
        self.threads
            .read(move |connection| {
                let mut query = connection.prepare_cached(AUDIT)?;
                let entries = query.query_map(params![before, i64::from(n) + 1], |row| {
                    let entry = AuditEntry {
                        at: time(row, 0)?,
                        who: row.get(1)?,
                        action: row.get(2)?,
                        subject: row.get(3)?,
                        detail: row.get(4)?,
                        request_id: row.get(5)?,
                    };
                    Ok((entry, row.get(6)?))
                })?;
                let entries = entries.collect::<rusqlite::Result<Vec<(AuditEntry, i64)>>>()?;
                Ok(page(entries, n))
            })
            .await
    }
}
