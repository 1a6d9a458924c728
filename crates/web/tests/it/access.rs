//! Who may do what: scopes, signed requests, reads that need a token, and the trail of it.

use std::time::Duration;

use beacon_domain::{DeliveryEnd, DueAsk, NewDelivery, Scope};
use beacon_spec::SigningKey;
use beacon_testkit::{SpecBuilder, test_key};

use crate::desk::{Answer, Desk, TOKEN};

// A1
#[tokio::test]
async fn a_token_allows_its_scope_until_it_is_revoked() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("job")).await;
    let pause = format!("/api/v1/jobs/{job}/pause");
    let [read, operate, admin] =
        [desk.token(Scope::Read).await, desk.token(Scope::Operate).await, desk.token(Scope::Admin).await];

    assert_eq!(desk.ask("POST", &pause, read.reveal(), "").await.refusal(), (403, "scope_too_narrow"));
    assert_eq!(desk.ask("POST", &pause, operate.reveal(), "").await.body["paused_by"], operate.id());
    let keys = async |token: &str| desk.ask("GET", "/api/v1/admin/keys", token, "").await;
    assert_eq!(keys(operate.reveal()).await.refusal(), (403, "scope_too_narrow"));
    assert_eq!(keys(admin.reveal()).await.status, 200);
    let revoke = format!("/api/v1/admin/tokens/{}", operate.id());
    assert_eq!(desk.ask("DELETE", &revoke, admin.reveal(), "").await.status, 204);
    assert_eq!(desk.ask("POST", &pause, operate.reveal(), "").await.refusal(), (401, "wrong_token"));
}

#[tokio::test]
async fn a_token_that_was_revoked_elsewhere_is_refused_within_five_seconds() {
    let desk = Desk::new();
    let token = desk.token(Scope::Admin).await;
    let workers = async || desk.ask("GET", "/api/v1/admin/workers", token.reveal(), "").await;
    assert_eq!(workers().await.status, 200);

    desk.operations.revoke_token(token.id().to_owned(), desk.now()).await.unwrap();
    desk.clock.advance(Duration::from_secs(5));

    assert_eq!(workers().await.refusal(), (401, "wrong_token"));
}

// A1
#[tokio::test]
async fn reads_need_a_token_where_the_configuration_says_so() {
    let desk = Desk::with(|api| api.require_token_to_read = true);
    let read = desk.token(Scope::Read).await;

    assert_eq!(desk.get("/api/v1/jobs").await.refusal(), (401, "token_required"));
    assert_eq!(desk.get("/metrics").await.refusal(), (401, "token_required"));
    assert_eq!(desk.ask("GET", "/api/v1/jobs", read.reveal(), "").await.status, 200);
    assert_eq!(desk.get("/ready").await.status, 200);
    desk.accepted(&SpecBuilder::new("a signature is enough to submit")).await;
}

// A1: a token that is none any more is told so; where it was ignored it seemed to be one.
#[tokio::test]
async fn a_wrong_or_expired_token_is_refused_by_open_reads_too() {
    let desk = Desk::new();
    let read = desk.token(Scope::Read).await;
    let expires = (desk.now() + Duration::from_secs(60)).to_string();
    let body = format!(r#"{{"name":"short","scope":"read","expires_at":"{expires}"}}"#);
    let made = desk.ask("POST", "/api/v1/admin/tokens", TOKEN, body).await;
    let short = made.body["token"].as_str().unwrap();
    let jobs = async |token: &str| desk.ask("GET", "/api/v1/jobs", token, "").await;

    assert_eq!(desk.get("/api/v1/jobs").await.status, 200, "none is needed");
    assert_eq!((jobs(read.reveal()).await.status.as_u16(), jobs(short).await.status.as_u16()), (200, 200));
    assert_eq!(jobs("wrong").await.refusal(), (401, "wrong_token"));
    assert_eq!(desk.ask("GET", "/metrics", "wrong", "").await.refusal(), (401, "wrong_token"));
    assert_eq!(desk.ask("GET", "/ready", "wrong", "").await.status, 200, "probes are never refused");
    assert_eq!(desk.get_with("/api/v1/jobs", &[("authorization", "Basic eDp5")]).await.status, 200);
    desk.clock.advance(Duration::from_secs(60));
    assert_eq!(jobs(short).await.refusal(), (401, "wrong_token"));
}

// A7
#[tokio::test]
async fn who_guesses_tokens_locks_out_none_that_was_good_and_is_never_read_as_nobody() {
    let rates = beacon_web::Rates { lookups_per_minute: 2, ..Default::default() };
    for needed in [false, true] {
        let desk = Desk::with(|api| (api.rates, api.require_token_to_read) = (rates, needed));
        let jobs = async |token: &str| desk.ask("GET", "/api/v1/jobs", token, "").await;
        let [seen, unseen] = [desk.token(Scope::Read).await, desk.token(Scope::Operate).await];

        assert_eq!(jobs(seen.reveal()).await.status, 200);
        assert_eq!(jobs("guess").await.refusal(), (401, "wrong_token"));
        for token in ["guess", "another", unseen.reveal()] {
            let refused = jobs(token).await;
            assert_eq!(
                (refused.refusal(), refused.header("retry-after")),
                ((429, "too_many_requests"), "31")
            );
        }
        // It is looked up again, and counts no more.
        desk.clock.advance(Duration::from_secs(5));
        assert_eq!(jobs(seen.reveal()).await.status, 200);
        assert_eq!(desk.get("/api/v1/jobs").await.status.as_u16(), if needed { 401 } else { 200 });

        desk.operations.revoke_token(seen.id().to_owned(), desk.now()).await.unwrap();
        desk.clock.advance(Duration::from_secs(5));
        assert_eq!(jobs(seen.reveal()).await.refusal(), (401, "wrong_token"));
        assert_eq!(jobs(seen.reveal()).await.status, 429, "now it is a guess as any other");
    }
}

// A1
#[tokio::test]
async fn a_wrong_token_is_refused_where_none_is_needed() {
    let desk = Desk::new();
    let job = desk.signed(&SpecBuilder::new("mine"));
    for path in ["/api/v1/jobs", "/api/v1/jobs/plan", "/api/v1/verify"] {
        let refused = desk.ask("POST", path, "wrong", job.clone()).await;
        assert_eq!(refused.refusal(), (401, "wrong_token"), "{path}");
        assert!(desk.post(path, job.clone()).await.status.is_success(), "{path}");
    }
}

// A7: what is revoked here does not make guesses of all other tokens.
#[tokio::test]
async fn a_revocation_leaves_other_tokens_known() {
    let rates = beacon_web::Rates { lookups_per_minute: 1, ..Default::default() };
    let desk = Desk::with(|api| api.rates = rates);
    let [read, operate] = [desk.token(Scope::Read).await, desk.token(Scope::Operate).await];
    let jobs = async |token: &str| desk.ask("GET", "/api/v1/jobs", token, "").await;
    assert_eq!(jobs(read.reveal()).await.status, 200);

    let revoke = format!("/api/v1/admin/tokens/{}", operate.id());
    assert_eq!(desk.ask("DELETE", &revoke, TOKEN, "").await.status, 204);

    assert_eq!(jobs(read.reveal()).await.status, 200);
    assert_eq!(jobs(operate.reveal()).await.status, 429);
}

#[tokio::test]
async fn a_body_says_each_thing_once_and_by_name() {
    let desk = Desk::new();
    for body in [r#"["x","read",null]"#, r#"{"name":"x","name":"y","scope":"read"}"#] {
        let refused = desk.ask("POST", "/api/v1/admin/tokens", TOKEN, body).await;
        assert_eq!(refused.refusal(), (400, "invalid_body"), "{body}");
    }
}

// A1
#[tokio::test]
async fn a_token_that_would_be_expired_at_once_is_not_made() {
    let desk = Desk::new();
    let make = async |expires: String| {
        let body = format!(r#"{{"name":"late","scope":"read","expires_at":"{expires}"}}"#);
        desk.ask("POST", "/api/v1/admin/tokens", TOKEN, body).await
    };

    assert_eq!(make(desk.now().to_string()).await.refusal(), (400, "invalid_field:expires_at"));
    for never in ["2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "+010000-01-01T00:00:00Z", "soon"] {
        let refused = make(never.to_owned()).await;
        assert_eq!(refused.refusal(), (400, "invalid_field:expires_at"), "{never}");
        let message = refused.body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("expires_at ") && message.contains("leave it out"), "{message}");
    }
    assert_eq!(make((desk.now() + Duration::from_secs(1)).to_string()).await.status, 201);
    let tokens = desk.ask("GET", "/api/v1/admin/tokens", TOKEN, "").await;
    assert_eq!(tokens.body["tokens"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn addresses_of_receivers_are_shown_to_who_operates_and_to_nobody_else() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("told")).await;
    let delivery = NewDelivery {
        id: format!("msg_{job}_end_0"),
        job,
        event: "job.ended".to_owned(),
        url: "https://hook.example/".to_owned(),
        body: "{}".to_owned(),
    };
    desk.operations.enqueue(vec![delivery], desk.now()).await.unwrap();
    let (lease, now) = (Duration::from_secs(60), desk.now());
    let ask = DueAsk { n: 1, sending: Vec::new(), of_key: 1, to_receiver: 1, lease, now };
    let taken = desk.operations.due(ask).await.unwrap().remove(0);
    let error = "the URL leads to 10.1.2.3, which is private".to_owned();
    desk.operations.delivered(&taken, DeliveryEnd::Failed { status: None, error }, now).await.unwrap();
    let path = format!("/api/v1/jobs/{job}/deliveries");
    let error = |answer: Answer| answer.body["deliveries"][0]["last_error"].as_str().unwrap().to_owned();
    let [read, operate] = [desk.token(Scope::Read).await, desk.token(Scope::Operate).await];

    let hidden = "the URL leads to an address, which is private";
    assert_eq!(error(desk.get(&path).await), hidden);
    assert_eq!(error(desk.ask("GET", &path, read.reveal(), "").await), hidden);
    for token in [operate.reveal(), TOKEN] {
        let shown = error(desk.ask("GET", &path, token, "").await);
        assert_eq!(shown, "the URL leads to 10.1.2.3, which is private");
    }
}

// A1
#[tokio::test]
async fn a_key_steers_what_it_submitted_and_each_signature_once() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("mine")).await;
    let path = format!("/api/v1/jobs/{job}/pause");

    let paused = desk.post_signed(&path, &test_key(), "n-1").await;
    let again = desk.post_signed(&path, &test_key(), "n-1").await;
    let stranger = desk.post_signed(&path, &SigningKey::from_seed([7; 32]), "n-2").await;
    let elsewhere = desk.sign(http::Request::post(&path), &test_key(), &format!("{path}x"), "n-3");
    let elsewhere = desk.send(elsewhere.body(axum::body::Body::empty()).unwrap()).await;
    let with_body = desk.sign(http::Request::post(&path), &test_key(), &path, "n-4");
    let with_body = desk.send(with_body.body(axum::body::Body::from("{}")).unwrap()).await;

    assert_eq!((&paused.body["changed"], &paused.body["paused_by"]), (&true.into(), &"key test".into()));
    assert_eq!(again.refusal(), (409, "nonce_replayed"));
    assert_eq!(stranger.refusal(), (403, "trust_violation:unknown"));
    assert_eq!(elsewhere.refusal(), (403, "signature_mismatch"));
    assert_eq!(with_body.refusal(), (403, "signature_mismatch"));
}

#[tokio::test]
async fn a_signed_request_is_told_what_is_wrong_with_the_request() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("mine")).await;
    let path = format!("/api/v1/jobs/{job}/pause");
    let old = desk.sign(http::Request::post(&path), &test_key(), &path, "n-1");
    desk.clock.advance(Duration::from_secs(601));

    let old = desk.send(old.body(axum::body::Body::empty()).unwrap()).await;

    assert_eq!(old.refusal(), (400, "timestamp_invalid:too_old"));
    assert_eq!(old.body["error"]["message"], "the signature is too old; sign the request again");
}

#[tokio::test]
async fn what_steers_takes_no_body_of_another_type() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("mine")).await;
    let send = async |deed: &str, body: &'static str| {
        let request = http::Request::post(format!("/api/v1/{deed}")).header("content-type", "text/plain");
        let request = request.header("authorization", format!("Bearer {TOKEN}"));
        desk.send(request.body(axum::body::Body::from(body)).unwrap()).await
    };

    for deed in ["pause", "resume", "cancel", "retry-failed"] {
        let answer = send(&format!("jobs/{job}/{deed}"), "now").await;
        assert_eq!(answer.refusal(), (415, "unsupported_media_type"), "{deed}");
    }
    let retry = send(&format!("executions/{job}-0/retry"), "now").await;
    assert_eq!(retry.refusal(), (415, "unsupported_media_type"));
    assert_eq!(send(&format!("jobs/{job}/pause"), "").await.status, 200, "there is no body");
}

// A1
#[tokio::test]
async fn a_key_does_not_steer_what_another_submitted() {
    let other = SigningKey::from_seed([7; 32]);
    let entries = serde_json::json!([
        { "kid": "ring", "public_key": test_key().public_key_base64() },
        { "kid": "other", "public_key": other.public_key_base64() },
    ]);
    let ring = beacon_spec::KeyRing::parse(entries.to_string().as_bytes()).unwrap();
    let desk = Desk::with(|api| api.keys = std::sync::Arc::new(ring));
    let job = desk.accepted(&SpecBuilder::new("mine")).await;

    for (n, deed) in ["cancel", "pause", "resume", "retry-failed"].into_iter().enumerate() {
        let answer = desk.post_signed(&format!("/api/v1/jobs/{job}/{deed}"), &other, &format!("n-{n}")).await;
        assert_eq!(answer.refusal(), (403, "not_your_job"), "{deed}");
    }
    let retry = desk.post_signed(&format!("/api/v1/executions/{job}-0/retry"), &other, "n-9").await;
    assert_eq!(retry.refusal(), (403, "not_your_job"));
    assert_eq!(desk.view.job(job).await.unwrap().unwrap().state.as_str(), "queued");
}

#[tokio::test]
async fn the_trail_tells_who_changed_what_by_which_request() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("job")).await;
    let token = desk.token(Scope::Operate).await;

    let done = desk.ask("POST", &format!("/api/v1/jobs/{job}/cancel"), token.reveal(), "").await;
    let trail = desk.ask("GET", "/api/v1/admin/audit", TOKEN, "").await;

    let entry = &trail.body["entries"][0];
    assert_eq!((&entry["who"], &entry["action"]), (&token.id().into(), &"job.cancel".into()));
    assert_eq!(
        (&entry["subject"], &entry["request_id"]),
        (&job.to_string().into(), &done.request_id().into())
    );
}
