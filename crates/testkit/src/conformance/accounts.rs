//! Tokens, trusted keys, the audit trail.

use std::time::Duration;

use beacon_domain::{ApiToken, AuditEntry, Operations, Scope, StoreError, TokenSecret};
use beacon_spec::{KeyId, KeyStatus, Profile, Quota, SigningKey, TrustedKey};

use super::Scene;

fn key(kid: &str, seed: u8) -> TrustedKey {
    TrustedKey {
        kid: KeyId::new(kid).unwrap(),
        public_key: SigningKey::from_seed([seed; 32]).public_key(),
        status: KeyStatus::Active,
        not_before: None,
        not_after: None,
        profiles: vec![Profile::Jcs],
        weight: 3,
        quota: Quota { jobs_per_day: Some(7), ..Quota::default() },
        example: false,
    }
}

/// A1: a token is found by its hash alone, with what it allows; each id and each secret is there once.
pub async fn a_token_is_found_by_its_hash<S: Operations>(scene: Scene<S>) {
    let (one, other) = (TokenSecret::of([1; 4], [1; 32]), TokenSecret::of([2; 4], [2; 32]));
    let expires_at = Some(scene.now() + Duration::from_secs(60));
    let token = ApiToken::new(&one, "ci", Scope::Operate, expires_at, scene.now());
    scene.store.add_token(token.clone()).await.unwrap();
    scene.store.add_token(ApiToken::new(&other, "people", Scope::Read, None, scene.now())).await.unwrap();

    let twice = scene.store.add_token(token.clone()).await;
    let unknown = scene.store.find_token(TokenSecret::of([1; 4], [9; 32]).hash(), scene.now()).await.unwrap();
    scene.advance_s(90);
    let found = scene.store.find_token(one.hash(), scene.now()).await.unwrap().unwrap();

    assert!(matches!(twice, Err(StoreError::NameTaken(_))), "{twice:?}");
    assert_eq!(unknown, None);
    let used = found.last_used_at.unwrap();
    assert_eq!((used.as_second() % 60, used <= scene.now()), (0, true), "the last use is coarse");
    assert_eq!(ApiToken { last_used_at: None, ..found.clone() }, token);
    assert!(!found.allows(Scope::Read, scene.now()), "it has expired");
    let listed = scene.store.tokens(9).await.unwrap();
    assert_eq!(listed.iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), ["people", "ci"]);
    assert_eq!(listed[1], found);
    assert_eq!(scene.store.tokens(1).await.unwrap().len(), 1);
}

/// A revoked token stays revoked, since the first time.
pub async fn a_revoked_token_allows_nothing<S: Operations>(scene: Scene<S>) {
    let secret = TokenSecret::of([1; 4], [1; 32]);
    scene.store.add_token(ApiToken::new(&secret, "ci", Scope::Admin, None, scene.now())).await.unwrap();
    let revoked_at = scene.now();

    assert!(scene.store.revoke_token(secret.id().to_owned(), scene.now()).await.unwrap());
    scene.advance_s(60);
    assert!(scene.store.revoke_token(secret.id().to_owned(), scene.now()).await.unwrap());
    assert!(!scene.store.revoke_token("beacon_ffffffff".to_owned(), scene.now()).await.unwrap());

    let found = scene.store.find_token(secret.hash(), scene.now()).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(revoked_at));
    assert!(!found.allows(Scope::Read, scene.now()));
}

/// P5: a key has one id and an id one key; a new policy replaces the old one.
pub async fn trusted_keys_are_kept_with_their_policy<S: Operations>(scene: Scene<S>) {
    let (one, other) = (key("one", 1), TrustedKey { profiles: vec![], weight: 1, ..key("other", 2) });
    let trust =
        async |key: &TrustedKey| scene.store.trust(key.clone(), "admin".to_owned(), scene.now()).await;
    trust(&other).await.unwrap();
    trust(&one).await.unwrap();
    let heavier = TrustedKey { weight: 5, not_after: Some(scene.now()), ..one.clone() };
    let added_at = scene.now();
    scene.advance_s(1);
    trust(&heavier).await.unwrap();

    for taken in [key("one", 2), key("one", 3), key("three", 1)] {
        let refused = trust(&taken).await;
        assert!(matches!(refused, Err(StoreError::NameTaken(_))), "{taken:?}: {refused:?}");
    }
    let kept = scene.store.trusted_keys(9).await.unwrap();

    assert_eq!(kept.iter().map(|stored| stored.key.clone()).collect::<Vec<_>>(), [heavier, other]);
    assert_eq!((kept[0].added_by.as_str(), kept[0].added_at), ("admin", added_at));
    assert_eq!(scene.store.trusted_keys(1).await.unwrap().len(), 1);
}

/// P5: revoked is for good, also for a key that was never added here.
pub async fn a_revoked_key_is_never_trusted_again<S: Operations>(scene: Scene<S>) {
    let (known, of_ring) = (key("known", 1), key("of the ring", 2));
    scene.store.trust(known.clone(), "admin".to_owned(), scene.now()).await.unwrap();
    let revoked_at = scene.now();
    for key in [&known, &of_ring, &known] {
        scene.store.distrust(key.clone(), "guard".to_owned(), scene.now()).await.unwrap();
        scene.advance_s(1);
    }

    let again = scene.store.trust(known, "admin".to_owned(), scene.now()).await;

    assert!(matches!(&again, Err(StoreError::NameTaken(text)) if text.contains("for good")), "{again:?}");
    let kept = scene.store.trusted_keys(9).await.unwrap();
    assert!(kept.iter().all(|stored| stored.key.status == KeyStatus::Revoked));
    assert_eq!(kept[0].revoked, Some(("guard".to_owned(), revoked_at)));
    assert_eq!((kept[0].added_by.as_str(), kept[1].added_by.as_str()), ("admin", "guard"));
}

/// Entries of the audit trail come back as they were, the newest first, in pages.
pub async fn the_audit_trail_is_read_in_pages<S: Operations>(scene: Scene<S>) {
    let entry = |n: u32| AuditEntry {
        at: scene.now(),
        who: "beacon_01020304".to_owned(),
        action: "key.revoke".to_owned(),
        subject: format!("key {n}"),
        detail: n.is_multiple_of(2).then(|| "because".to_owned()),
        request_id: n.is_multiple_of(3).then(|| "r-1".to_owned()),
    };
    for n in 0..5 {
        scene.store.note(entry(n)).await.unwrap();
    }

    let first = scene.store.audit(None, 2).await.unwrap();
    let second = scene.store.audit(first.next.clone(), 2).await.unwrap();
    let last = scene.store.audit(second.next.clone(), 2).await.unwrap();

    assert_eq!(first.items, [entry(4), entry(3)]);
    assert_eq!((second.items, last.items), (vec![entry(2), entry(1)], vec![entry(0)]));
    assert_eq!(last.next, None);
}
