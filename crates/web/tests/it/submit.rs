//! Submission: what is taken, what is refused, and with which code (P4, P6, P11).

use std::time::Duration;

use beacon_domain::JobFilter;
use beacon_testkit::SpecBuilder;
use serde_json::json;

use crate::desk::{Desk, TOKEN};

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
}

// P4, P6
#[tokio::test]
async fn a_nonce_is_used_once() {
    let desk = Desk::new();
    desk.post("/api/v1/jobs", desk.signed(&job("one").nonce("n"))).await;

    let replayed = desk.post("/api/v1/jobs", desk.signed(&job("two").nonce("n"))).await;

    assert_eq!(replayed.refusal(), (409, "nonce_replayed"));
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

    let answer = desk.post("/api/v1/jobs?accept_unsupported=true", spec).await;
    let shown = desk.get(&format!("/api/v1/jobs/{}", answer.job_id())).await;
    let odd = desk.post("/api/v1/jobs?accept=true", "{}").await;

    assert_eq!(shown.body["job"]["counts"]["unsupported"], 4, "{}", shown.body);
    assert_eq!(odd.refusal(), (400, "invalid_query"));
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
