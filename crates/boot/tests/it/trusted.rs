//! The ring's file and the store's keys, joined (P5).

use std::sync::Arc;

use beacon_boot::TrustedKeys;
use beacon_domain::{Clock as _, TrustStore as _};
use beacon_spec::{KeyId, KeyRing, KeySource as _, KeyStatus, Quota, SigningKey, TrustedKey};
use beacon_store::MemoryStore;
use beacon_testkit::ManualClock;
use serde_json::json;

fn key(kid: &str, seed: u8, weight: u32) -> TrustedKey {
    TrustedKey {
        kid: KeyId::new(kid).unwrap(),
        public_key: SigningKey::from_seed([seed; 32]).public_key(),
        status: KeyStatus::Active,
        not_before: None,
        not_after: None,
        profiles: Vec::new(),
        weight,
        quota: Quota::default(),
        example: false,
    }
}

fn ring(keys: &[(&TrustedKey, &str)]) -> KeyRing {
    let entry = |(key, status): &(&TrustedKey, &str)| {
        let seed = (1..9).find(|seed| SigningKey::from_seed([*seed; 32]).public_key() == key.public_key);
        let public_key = SigningKey::from_seed([seed.unwrap(); 32]).public_key_base64();
        json!({ "kid": key.kid, "public_key": public_key, "status": status, "weight": key.weight })
    };
    let entries: Vec<_> = keys.iter().map(entry).collect();
    KeyRing::parse(json!(entries).to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn keys_of_the_file_and_of_the_store_are_trusted_and_what_either_revokes_is_not() {
    let (clock, store) = (ManualClock::new(), Arc::new(MemoryStore::new()));
    let (ringed, stored, both) = (key("ringed", 1, 1), key("stored", 2, 1), key("both", 3, 1));
    let (gone, of_file) = (key("gone", 4, 1), key("revoked in the file", 5, 1));
    let trust = async |key: &TrustedKey| {
        store.trust(key.clone(), "admin".to_owned(), clock.now()).await.unwrap();
    };
    trust(&stored).await;
    trust(&TrustedKey { weight: 7, ..both.clone() }).await;
    trust(&of_file).await;
    let ring = ring(&[(&ringed, "active"), (&both, "active"), (&gone, "active"), (&of_file, "revoked")]);

    let keys = TrustedKeys::load(ring, Arc::clone(&store) as _).await.unwrap();
    store.distrust(gone.clone(), "guard".to_owned(), clock.now()).await.unwrap();
    let before = keys.key(&gone.public_key).unwrap().status;
    keys.read().await.unwrap();

    let status = |key: &TrustedKey| keys.key(&key.public_key).map(|key| key.status);
    assert_eq!(before, KeyStatus::Active, "the store is read now and then");
    assert_eq!([&ringed, &stored, &both].map(status), [Some(KeyStatus::Active); 3]);
    assert_eq!([&gone, &of_file].map(status), [Some(KeyStatus::Revoked); 2]);
    assert_eq!(keys.key(&both.public_key).unwrap().weight, 7, "the store's policy is the newer one");
    assert_eq!(status(&key("stranger", 6, 1)), None);
}
