//! Signing: what a signer gets is what a verifier takes, and nobody signs what could not run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::time::Duration;

use beacon_spec::{
    Freshness, KeyRing, Profile, SignError, SignOptions, SignedSpec, SignedText, SigningKey, Timestamp,
    VerifiedSpec, VerifyError, random_nonce, sign_text, verify,
};
use serde_json::{Value, json};

/// The test key: never trust it.
fn key() -> SigningKey {
    SigningKey::from_seed([0x42; 32])
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn options() -> SignOptions {
    SignOptions { timestamp: Some(now()), nonce: Some(random_nonce()), refresh: false }
}

fn job() -> Value {
    json!({
        "id": "signing", "benchmark": { "name": "signing" }, "questions": ["math_basic"], "models": ["m"],
        "constraints": { "regions": ["US"], "max_cost": 0, "min_success_rate": 0 }, "unknown": [null, "", {}],
    })
}

fn sign(job: &Value, profile: Profile) -> Result<SignedText, SignError> {
    sign_text(job.to_string().as_bytes(), &key(), profile, &options())
}

/// What a service says of a text at this time.
fn served(text: &[u8]) -> Result<VerifiedSpec, VerifyError> {
    let profiles = json!(["L1", "L2", "L3", "L4"]);
    let ring = json!([{ "kid": "test", "public_key": key().public_key_base64(), "profiles": profiles, "example": true }]);
    let ring = KeyRing::parse(ring.to_string().as_bytes()).unwrap();
    let window = Freshness::Window { max_age: Duration::from_secs(600), max_skew: Duration::from_secs(300) };
    verify(SignedSpec::new(text)?, &ring, now(), window)
}

#[test]
fn what_was_signed_under_any_profile_is_accepted_under_it_by_a_service() {
    for profile in Profile::ALL {
        let signed = sign(&job(), profile).unwrap();

        let verified = served(&signed.bytes).unwrap();

        assert_eq!(verified.profile(), profile);
        assert_eq!(verified.spec(), &signed.spec);
        assert_eq!(verified.canonical_digest(), signed.canonical_sha256);
    }
}

#[test]
fn a_time_stamp_and_a_nonce_are_added_only_where_the_job_has_none() {
    let mut own = job();
    own["metadata"] = json!({ "nonce": "mine", "timestamp": "" });

    let signed = sign(&own, Profile::Jcs).unwrap();

    assert_eq!((signed.spec.nonce.as_deref(), signed.spec.signed_at), (Some("mine"), Some(now())));
    let refresh = SignOptions { refresh: true, ..options() };
    let again = sign_text(own.to_string().as_bytes(), &key(), Profile::Jcs, &refresh).unwrap();
    assert_ne!(again.spec.nonce.as_deref(), Some("mine"));
}

// P4: the same nonce twice is refused, so a job signed again must have another one.
#[test]
fn a_job_signed_again_by_the_same_key_has_a_new_nonce() {
    let first = sign(&job(), Profile::Jcs).unwrap();

    let again = sign_text(&first.bytes, &key(), Profile::L4, &options()).unwrap();

    assert!(again.signed_again && !first.signed_again);
    assert_ne!(again.spec.nonce, first.spec.nonce);
    assert_eq!(served(&again.bytes).unwrap().profile(), Profile::L4);
}

#[test]
fn a_job_signed_by_another_key_is_not_signed_over() {
    let other = SigningKey::from_seed([0x43; 32]);
    let theirs = sign_text(job().to_string().as_bytes(), &other, Profile::Jcs, &options()).unwrap().bytes;

    let refused = sign_text(&theirs, &key(), Profile::Jcs, &options()).unwrap_err();

    assert!(matches!(&refused, SignError::SignedByAnother(key) if key.contains(&other.public_key_base64())));
    assert!(refused.to_string().contains("take `signature` and `public_key` out"), "{refused}");
}

#[test]
fn an_envelope_is_not_signed_but_the_job_inside_it() {
    let dsse = sign(&job(), Profile::Dsse).unwrap().bytes;
    let wrapper = json!({ "jobspec": job() }).to_string().into_bytes();

    for envelope in [dsse, wrapper] {
        assert_eq!(sign_text(&envelope, &key(), Profile::Jcs, &options()).unwrap_err(), SignError::Envelope);
    }
}

#[test]
fn a_job_that_could_not_run_is_refused_with_the_path_of_the_member() {
    let check = |path: &str, value: Value, message: &str| {
        let mut job = job();
        *job.pointer_mut(path).unwrap() = value;
        let refused = sign(&job, Profile::Jcs).unwrap_err().to_string();
        assert!(
            refused.starts_with("the job could not run: ") && refused.contains(message),
            "{path}: {refused}"
        );
    };

    check("/models", json!([]), "models must name at least one model");
    check("/questions", json!([]), "questions must hold at least one question");
    check("/benchmark/name", json!(""), "benchmark.name is missing");
    check("/constraints/regions/0", json!("MARS"), "constraints.regions[0] is an unknown region \"MARS\"");
    check("/constraints/max_cost", json!("5"), "constraints.max_cost is \"5\"");
}

// P1: what means two things to two parsers must not be signed either.
#[test]
fn a_text_with_a_duplicate_key_is_not_signed() {
    let text = job().to_string().replacen('{', "{\"id\":\"other\",", 1);

    let refused = sign_text(text.as_bytes(), &key(), Profile::Jcs, &options()).unwrap_err();

    assert!(refused.to_string().contains("duplicate key \"id\""), "{refused}");
}

// P1
#[test]
fn zeros_nulls_and_unknown_members_are_signed_as_they_are() {
    let signed: Value = serde_json::from_slice(&sign(&job(), Profile::Jcs).unwrap().bytes).unwrap();

    for member in ["unknown", "constraints", "benchmark"] {
        assert_eq!(signed[member], job()[member]);
    }
}

#[test]
fn metadata_that_is_null_becomes_an_object_and_any_other_is_left_alone() {
    let with = |metadata: Value| {
        let mut job = job();
        job["metadata"] = metadata;
        sign(&job, Profile::Jcs)
    };

    assert!(with(Value::Null).unwrap().spec.nonce.is_some());
    assert_eq!(with(json!("text")).unwrap_err(), SignError::NotAnObject);
}
