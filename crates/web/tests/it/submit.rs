//! Submission: what is taken, what is refused, and with which code (P4, P6, P11).

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use beacon_domain::{JobFilter, Scope};
use beacon_spec::{KeyId, KeyRing, Quota, SigningKey};
use beacon_testkit::{SpecBuilder, test_key};
use http::Request;
use serde_json::json;

use crate::desk::{Desk, TOKEN};

/// What only who may steer the job decides.
const LEFT_OUT: &str = "/api/v1/jobs?accept_unsupported=true";

fn job(name: &str) -> SpecBuilder {
    SpecBuilder::new(name).questions(&["one", "two"]).regions(&["US", "EU"])
}

#[tokio::test]
async fn a_signed_job_is_accepted_with_all_its_executions() {
    let desk = Desk::new();

    let answer = desk.post("/api/v1/jobs", desk.signed(&job("first"))).await;

    assert_eq!((answer.status.as_u16(), &answer.body["executions"]), (202, &json!(4)), "{}", answer.body);
    let shown = desk.get(answer.body["links"]["self"].as_str().unwrap()).await;
    assert_eq!(shown.body["job"]["counts"]["queued"], 2, "{}", shown.body);
    assert_eq!(shown.body["job"]["counts"]["blocked"], 2);
}

// P11
#[tokio::test]
async fn the_same_bytes_are_the_same_job_and_other_bytes_a_conflict() {
    let desk = Desk::new();
    let bytes = desk.signed(&job("again"));

    let first = desk.post("/api/v1/jobs", bytes.clone()).await;
    let again = desk.post("/api/v1/jobs", bytes).await;
    let other = desk.post("/api/v1/jobs", desk.signed(&job("again").runs(2).nonce("other"))).await;

    assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 200));
    assert_eq!(first.job_id(), again.job_id());
    assert_eq!(other.refusal(), (409, "job_exists"));
    assert_eq!(other.body["error"]["job_id"], first.job_id());
}

// P11: the signature is over the canonical form, but receipts name the bytes.
#[tokio::test]
async fn the_same_content_in_other_bytes_is_shown_the_job_that_it_made() {
    let desk = Desk::new();
    let bytes = desk.signed(&job("spelled"));
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();

    let first = desk.post("/api/v1/jobs", bytes.clone()).await;
    let again = desk.post("/api/v1/jobs", value.to_string()).await;

    assert_ne!(value.to_string().as_bytes(), bytes);
    assert_eq!(again.refusal(), (409, "job_exists"));
    assert_eq!(again.body["error"]["job_id"], first.job_id());
    let message = again.body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(&first.job_id()) && message.contains("this same work, accepted in other bytes"),
        "{message}"
    );
}

// P4, P6
#[tokio::test]
async fn a_nonce_is_used_once() {
    let desk = Desk::new();
    let first = desk.accepted(&job("one").nonce("n")).await.to_string();

    let replayed = desk.post("/api/v1/jobs", desk.signed(&job("two").nonce("n"))).await;

    assert_eq!(replayed.refusal(), (409, "nonce_replayed"));
    let error = &replayed.body["error"];
    assert_eq!(error["job_id"], first, "whoever sent a copy under another id is shown what it made");
    assert!(error["message"].as_str().unwrap().contains(&first), "{error}");
}

// P4: nothing that is refused leaves a trace.
#[tokio::test]
async fn what_cannot_be_trusted_is_refused_and_leaves_nothing() {
    let desk = Desk::new();
    let signed = String::from_utf8(desk.signed(&job("trust"))).unwrap();
    let of_a_stranger = job("trust").key("stranger", 7, 1).signed_at(beacon_domain::Clock::now(&desk.clock));
    let other_cells = job("cells").models(&["unserved"]);

    for (body, refusal) in [
        (Vec::new(), (400, "empty")),
        (b"no json".to_vec(), (400, "invalid_json")),
        (signed.replace("\"one\"", "\"eins\"").into_bytes(), (403, "signature_mismatch")),
        (of_a_stranger, (403, "trust_violation:unknown")),
        (desk.signed(&other_cells), (422, "unserved_cells")),
        (vec![b' '; 2 << 20], (413, "too_large")),
    ] {
        let answer = desk.post("/api/v1/jobs", body).await;
        assert_eq!(answer.refusal(), refusal, "{}", answer.body);
        let names_limit = answer.body["error"]["message"].as_str().unwrap().contains("1048576 bytes");
        assert_eq!(names_limit, refusal.1 == "too_large", "{}", answer.body);
    }
    let kept = desk.view.jobs(JobFilter::default()).await.unwrap().items;
    assert!(kept.is_empty(), "{kept:?}");
}

// P4
#[tokio::test]
async fn a_signature_is_taken_within_its_window_only() {
    let desk = Desk::new();
    let early = desk.signed(&job("early"));
    desk.clock.advance(Duration::from_secs(601));

    let old = desk.post("/api/v1/jobs", early).await;
    let unstamped =
        desk.post("/api/v1/jobs", job("none").key("ring", 0x42, 1).verified().bytes().to_vec()).await;

    assert_eq!(old.refusal(), (400, "timestamp_invalid:too_old"));
    assert_eq!(unstamped.refusal(), (400, "missing_field:metadata.timestamp"));
}

// What a job asks for and nobody would do is refused, whichever way it comes in.
#[tokio::test]
async fn a_job_whose_webhooks_would_not_be_told_is_refused() {
    let (desk, silent) = (Desk::new(), Desk::with(|api| api.webhooks = None));
    let told = job("told").webhook("https://hook.example/x", &["batch.done"]);
    let inside = told.clone().webhook("http://127.0.0.1/", &[]);

    for path in ["/api/v1/jobs", "/api/v1/jobs/plan"] {
        let refused = desk.post(path, desk.signed(&inside)).await;
        assert_eq!(refused.refusal(), (422, "webhook_refused"));
        let message = refused.body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("webhooks[1].url leads to 127.0.0.1"), "{message}");
        let refused = silent.post(path, silent.signed(&told)).await;
        assert_eq!(refused.refusal(), (422, "webhooks_not_configured"));
    }
    assert_eq!(silent.view.jobs(JobFilter::default()).await.unwrap().items.len(), 0);
    assert_eq!(silent.post("/api/v1/jobs", silent.signed(&job("quiet"))).await.status, 202);
    assert_eq!(desk.post("/api/v1/jobs", desk.signed(&told)).await.status, 202);
    let secret = silent.ask("GET", "/api/v1/admin/keys/test/webhook-secret", TOKEN, "").await;
    assert_eq!(secret.refusal(), (422, "webhooks_not_configured"));
}

// P9
#[tokio::test]
async fn cells_that_nobody_serves_are_accepted_on_request_as_unsupported() {
    let desk = Desk::new();
    let spec = desk.signed(&job("partly").models(&["m", "unserved"]));

    let answer = desk.ask("POST", LEFT_OUT, TOKEN, spec).await;
    let shown = desk.get(&format!("/api/v1/jobs/{}", answer.job_id())).await;
    let odd = desk.post("/api/v1/jobs?accept=true", "{}").await;

    assert_eq!(shown.body["job"]["counts"]["unsupported"], 4, "{}", shown.body);
    assert_eq!(odd.refusal(), (400, "invalid_query"));
}

// A1, P9: what the key signed is not changed by whoever has a copy of it.
#[tokio::test]
async fn only_who_may_steer_a_job_leaves_cells_out() {
    let ring = json!([
        { "kid": "test", "public_key": test_key().public_key_base64() },
        { "kid": "other", "public_key": SigningKey::from_seed([7; 32]).public_key_base64() },
    ]);
    let ring = KeyRing::parse(ring.to_string().as_bytes()).unwrap();
    let desk = Desk::with(|api| api.keys = Arc::new(ring));
    let body = desk.signed(&job("partly").models(&["m", "unserved"]));
    let by = async |key: &SigningKey, nonce: &str| {
        let request = desk.sign_body(Request::post(LEFT_OUT), key, (LEFT_OUT, &body), nonce);
        desk.send(request.body(Body::from(body.clone())).unwrap()).await
    };
    let read = desk.token(Scope::Read).await;

    let nobody = desk.post(LEFT_OUT, body.clone()).await;
    let planned = desk.post("/api/v1/jobs/plan?accept_unsupported=true", body.clone()).await;
    let reader = desk.ask("POST", LEFT_OUT, read.reveal(), body.clone()).await;
    let other = by(&SigningKey::from_seed([7; 32]), "n-1").await;
    let untouched = desk.view.jobs(JobFilter::default()).await.unwrap().items.len();
    let own = by(&test_key(), "n-2").await;

    assert_eq!(nobody.refusal(), (401, "token_required"));
    let message = nobody.body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("accept_unsupported is for who may steer the job"), "{message}");
    assert_eq!(planned.status, 200, "it stores nothing");
    assert_eq!(reader.refusal(), (403, "scope_too_narrow"));
    assert_eq!(other.refusal(), (403, "not_your_job"));
    assert_eq!(untouched, 0);
    assert_eq!((own.status.as_u16(), &own.body["executions"]), (202, &json!(8)), "{}", own.body);
    let trail = desk.ask("GET", "/api/v1/admin/audit", TOKEN, "").await;
    let entry = &trail.body["entries"][0];
    assert_eq!((&entry["who"], &entry["action"]), (&json!("key test"), &json!("job.accept_unsupported")));
    assert_eq!(entry["subject"], own.job_id());
}

// A7
#[tokio::test]
async fn a_quota_that_frees_at_a_known_time_says_in_how_many_seconds() {
    let desk = Desk::new();
    let set = async |quota: Quota| {
        let key = KeyId::new("test").unwrap();
        desk.operations.set_quota(key, Some(quota), desk.now()).await.unwrap();
    };
    let submit = async |name: &str| desk.post("/api/v1/jobs", desk.signed(&job(name))).await;
    set(Quota { jobs_per_day: Some(1), ..Quota::default() }).await;
    desk.accepted(&job("first")).await;

    let refused = submit("second").await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    desk.clock.advance(Duration::from_secs(wait - 2));
    let early = submit("third").await;
    desk.clock.advance(Duration::from_secs(2));
    let next_day = submit("fourth").await;
    set(Quota { open_executions: Some(1), ..Quota::default() }).await;
    let open = submit("fifth").await;

    assert_eq!((refused.refusal(), early.refusal()), ((429, "over_quota"), (429, "over_quota")));
    assert_eq!(next_day.status, 202, "{}", next_day.body);
    assert_eq!((open.refusal(), open.header("retry-after")), ((429, "over_quota"), ""), "nobody knows");
}

// P4: one pipeline for every way in.
#[tokio::test]
async fn a_wrapper_that_contradicts_the_signed_job_is_refused() {
    let desk = Desk::new();
    let spec: serde_json::Value = serde_json::from_slice(&desk.signed(&job("wrapped"))).unwrap();
    let wrapper = |regions: &[&str]| json!({ "jobspec": spec, "target_regions": regions }).to_string();

    let contradicts = desk.post("/api/v1/jobs/cross-region", wrapper(&["ASIA"])).await;
    let agrees = desk.post("/api/v1/jobs/cross-region", wrapper(&["US", "EU"])).await;

    assert_eq!(contradicts.refusal(), (400, "wrapper_contradicts"));
    assert_eq!(agrees.status.as_u16(), 202, "{}", agrees.body);
}
