//! Who may do what: tokens, keys, the audit trail, and answers by idempotency key.

use async_trait::async_trait;
use beacon_domain::{
    ApiToken, AuditEntry, AuditTrail, IdempotencyAsk, IdempotencyKey, IdempotencyLog, Idempotent, KeptAnswer,
    Page, StoreError, StoredKey, TokenStore, TrustStore, to_the_minute,
};
use beacon_spec::{KeyStatus, Sha256Digest, Timestamp, TrustedKey};

use super::MemoryStore;
use crate::{
    idempotency::Begun,
    rules::{another_has_the_kid, is_revoked, token_is_there},
};

#[async_trait]
impl TokenStore for MemoryStore {
    async fn add_token(&self, token: ApiToken) -> Result<(), StoreError> {
        self.write(|state| {
            let tokens = &mut state.desk.tokens;
            if tokens.iter().any(|known| known.id == token.id || known.hash == token.hash) {
                return Err(token_is_there(&token.id));
            }
            tokens.push(token);
            Ok(())
        })
    }

    async fn find_token(&self, hash: Sha256Digest, now: Timestamp) -> Result<Option<ApiToken>, StoreError> {
        Ok(self.write(|state| {
            let found = state.desk.tokens.iter_mut().find(|token| token.hash == hash);
            found.map(|token| {
                token.last_used_at = token.last_used_at.max(Some(to_the_minute(now)));
                token.clone()
            })
        }))
    }

    async fn revoke_token(&self, id: String, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.write(|state| {
            let found = state.desk.tokens.iter_mut().find(|token| token.id == id);
            found.map(|token| token.revoked_at.get_or_insert(now)).is_some()
        }))
    }

    async fn tokens(&self, n: u32) -> Result<Vec<ApiToken>, StoreError> {
        Ok(self.read().desk.tokens.iter().rev().take(n as usize).cloned().collect())
    }
}

#[async_trait]
impl TrustStore for MemoryStore {
    async fn trust(&self, key: TrustedKey, by: String, now: Timestamp) -> Result<(), StoreError> {
        self.put_key(key, by, now, false)
    }

    async fn distrust(&self, key: TrustedKey, by: String, now: Timestamp) -> Result<(), StoreError> {
        self.put_key(key, by, now, true)
    }

    async fn trusted_keys(&self, n: u32) -> Result<Vec<StoredKey>, StoreError> {
        Ok(self.read().desk.keys.values().take(n as usize).cloned().collect())
    }
}

impl MemoryStore {
    fn put_key(
        &self,
        mut key: TrustedKey,
        by: String,
        now: Timestamp,
        revoke: bool,
    ) -> Result<(), StoreError> {
        self.write(|state| {
            let keys = &mut state.desk.keys;
            if keys
                .values()
                .any(|known| (known.key.kid == key.kid) != (known.key.public_key == key.public_key))
            {
                return Err(another_has_the_kid(&key.kid));
            }
            let known = keys.get(&key.kid);
            let revoked = known.and_then(|known| known.revoked.clone());
            if revoked.is_some() {
                return if revoke { Ok(()) } else { Err(is_revoked(&key.kid)) };
            }
            key.status = if revoke { KeyStatus::Revoked } else { KeyStatus::Active };
            let (added_by, added_at) =
                known.map_or_else(|| (by.clone(), now), |known| (known.added_by.clone(), known.added_at));
            let revoked = revoke.then_some((by, now));
            keys.insert(key.kid.clone(), StoredKey { key, added_by, added_at, revoked });
            Ok(())
        })
    }
}

#[async_trait]
impl AuditTrail for MemoryStore {
    async fn note(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(|state| state.desk.audit.push(entry));
        Ok(())
    }

    async fn audit(&self, cursor: Option<String>, n: u32) -> Result<Page<AuditEntry>, StoreError> {
        let state = self.read();
        let audit = &state.desk.audit;
        let before = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(usize::MAX).min(audit.len());
        let from = before.saturating_sub(n as usize);
        let next = (from > 0 && from < before).then(|| from.to_string());
        Ok(Page { items: audit[from..before].iter().rev().cloned().collect(), next })
    }
}

#[async_trait]
impl IdempotencyLog for MemoryStore {
    async fn begin(&self, ask: IdempotencyAsk) -> Result<Idempotent, StoreError> {
        Ok(self.write(|state| {
            let answers = &mut state.desk.answers;
            let begun = Begun { request: ask.request, turn: 1, begun_at: ask.now, answer: None };
            let Some(known) = answers.get_mut(&ask.key) else {
                let too_old = ask.too_old();
                answers.retain(|_, begun| begun.begun_at >= too_old);
                answers.insert(ask.key, begun);
                return Idempotent::First { turn: 1 };
            };
            known.meets(&ask).unwrap_or_else(|| {
                let turn = known.turn + 1;
                *known = Begun { turn, ..begun };
                Idempotent::First { turn }
            })
        }))
    }

    async fn known(&self, ask: IdempotencyAsk) -> Result<Option<Idempotent>, StoreError> {
        Ok(self.read().desk.answers.get(&ask.key).and_then(|known| known.meets(&ask)))
    }

    async fn finish(&self, key: IdempotencyKey, turn: u32, answer: KeptAnswer) -> Result<bool, StoreError> {
        Ok(self.write(|state| match state.desk.answers.get_mut(&key) {
            Some(begun) if begun.turn == turn => {
                *begun.answer.get_or_insert_with(|| answer.clone()) == answer
            }
            _ => false,
        }))
    }

    async fn give_up(&self, key: IdempotencyKey, turn: u32) -> Result<(), StoreError> {
        self.write(|state| {
            let answers = &mut state.desk.answers;
            if answers.get(&key).is_some_and(|begun| begun.turn == turn && begun.answer.is_none()) {
                answers.remove(&key);
            }
        });
        Ok(())
    }

    async fn forget_answers(&self, before: Timestamp, n: u32) -> Result<u32, StoreError> {
        Ok(self.write(|state| {
            let answers = &mut state.desk.answers;
            let mut old: Vec<_> = answers.iter().filter(|(_, begun)| begun.begun_at < before).collect();
            old.sort_by_key(|(_, begun)| begun.begun_at);
            let old: Vec<_> = old.into_iter().take(n as usize).map(|(key, _)| key.clone()).collect();
            old.iter().for_each(|key| drop(answers.remove(key)));
            u32::try_from(old.len()).unwrap_or(u32::MAX)
        }))
    }
}
