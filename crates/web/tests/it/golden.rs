//! Golden answers: every route and every error, over every store, against the files of `tests/golden`.
//! `BEACON_GOLDEN=write cargo test -p beacon-web golden` writes them anew.

use std::{fs, path::PathBuf};

use axum::body::Body;
use beacon_domain::{JobId, Scope, TokenSecret};
use beacon_testkit::SpecBuilder;
use http::Request;
use serde_json::{Value, json};

use crate::{
    desk::{Answer, Desk, TOKEN},
    scene::Scene,
};

/// Headers whose values are part of what is promised.
const PROMISED: [&str; 9] = [
    "content-type",
    "allow",
    "location",
    "cache-control",
    "content-disposition",
    "content-security-policy",
    "idempotency-replayed",
    "retry-after",
    "www-authenticate",
];

struct Case {
    name: &'static str,
    request: Request<Body>,
}

fn ask(
    name: &'static str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Case {
    let request = Request::builder().method(method).uri(path).header("x-request-id", "golden");
    let request = headers.iter().fold(request, |request, (key, value)| request.header(*key, *value));
    Case { name, request: request.body(body.into()).unwrap() }
}

fn get(name: &'static str, path: &str) -> Case {
    ask(name, "GET", path, &[], Body::empty())
}

fn reads(scene: &Scene) -> Vec<Case> {
    let job = |rest: &str| format!("/api/v1/jobs/{}{rest}", scene.running);
    let ended = |rest: &str| format!("/api/v1/jobs/{}{rest}", scene.ended);
    let execution = |n: u32, rest: &str| format!("/api/v1/executions/{}-{n}{rest}", scene.running);
    vec![
        get("jobs", "/api/v1/jobs"),
        get("jobs_page", "/api/v1/jobs?limit=1"),
        get("jobs_filtered", "/api/v1/jobs?state=running&name=running&key=test"),
        get("jobs_none", "/api/v1/jobs?key=nobody"),
        get("job", &job("")),
        get("job_with_all", &job("?include=executions,endpoints,failures&exec_limit=2&exec_offset=1")),
        get("job_ended", &ended("")),
        get("matrix", &job("/matrix")),
        get("matrix_rows", &job("/matrix?form=rows")),
        get("executions", &job("/executions")),
        get("executions_filtered", &job("/executions?state=completed&model=m&region=US&endpoint=us-east/m")),
        get("executions_none", &job("/executions?question=none")),
        get("explain", &job("/explain")),
        get("events", &ended("/events")),
        get("results_jsonl", &ended("/results")),
        get("results_csv", &ended("/results?format=csv")),
        get("receipts", &ended("/receipts")),
        get("close", &ended("/close")),
        get("deliveries", &ended("/deliveries")),
        get("deliveries_page", &ended("/deliveries?limit=1")),
        get("deliveries_none", &job("/deliveries")),
        get("recent", "/api/v1/executions?limit=2"),
        get("execution", &execution(0, "")),
        get("execution_waiting", &execution(2, "")),
        get("receipt", &execution(0, "/receipt")),
        get("questions", "/api/v1/questions"),
        get("models", "/api/v1/models"),
        get("regions", "/api/v1/regions"),
        get("endpoints", "/api/v1/endpoints"),
        get("version", "/version"),
        get("health", "/health"),
        get("ready", "/ready"),
    ]
}

fn writes(desk: &Desk, scene: &Scene) -> Vec<Case> {
    let spec = SpecBuilder::new("new").regions(&["US", "EU"]);
    let signed = desk.signed(&spec);
    let wrapped = |name: &str, regions: &[&str]| {
        let spec: Value = serde_json::from_slice(&desk.signed(&SpecBuilder::new(name))).unwrap();
        json!({ "jobspec": spec, "target_regions": regions }).to_string()
    };
    let stale = SpecBuilder::new("stale").key("ring", 0x42, 1).signed_at(beacon_spec::Timestamp::UNIX_EPOCH);
    let stranger = SpecBuilder::new("stranger").key("stranger", 7, 1).signed_at(desk.now());
    let changed = String::from_utf8(signed.clone()).unwrap().replace("What is one?", "What is two?");
    let cancel = format!("/api/v1/jobs/{}/cancel", scene.running);
    let token = format!("Bearer {TOKEN}");
    let json = &[("content-type", "application/json")];
    vec![
        ask("plan", "POST", "/api/v1/jobs/plan", json, signed.clone()),
        ask("verify", "POST", "/api/v1/verify", json, signed.clone()),
        ask("verify_changed", "POST", "/api/v1/verify", json, changed.clone()),
        ask("submit", "POST", "/api/v1/jobs", json, signed.clone()),
        ask("submit_again", "POST", "/api/v1/jobs", json, signed),
        ask("submit_wrapped", "POST", "/api/v1/jobs/cross-region", json, wrapped("wrapped", &["US"])),
        ask("error_job_exists", "POST", "/api/v1/jobs", json, desk.signed(&spec.clone().runs(2).nonce("2"))),
        ask(
            "error_nonce_replayed",
            "POST",
            "/api/v1/jobs",
            json,
            desk.signed(&SpecBuilder::new("n").nonce("new")),
        ),
        ask("error_wrapper", "POST", "/api/v1/jobs/cross-region", json, wrapped("w", &["ASIA"])),
        ask("error_invalid_json", "POST", "/api/v1/jobs", json, "{"),
        ask("error_empty", "POST", "/api/v1/jobs", json, ""),
        ask("error_signature", "POST", "/api/v1/jobs", json, changed),
        ask("error_unknown_key", "POST", "/api/v1/jobs", json, stranger),
        ask("error_stale", "POST", "/api/v1/jobs", json, stale),
        ask(
            "error_unserved",
            "POST",
            "/api/v1/jobs",
            json,
            desk.signed(&SpecBuilder::new("u").models(&["x"])),
        ),
        ask(
            "error_deadline_cannot_hold",
            "POST",
            "/api/v1/jobs/plan",
            json,
            desk.signed(&SpecBuilder::new("d").constraint("timeout", 1_000_000_000_u64)),
        ),
        ask(
            "error_webhook_refused",
            "POST",
            "/api/v1/jobs",
            json,
            desk.signed(&SpecBuilder::new("h").webhook("http://127.0.0.1/", &[])),
        ),
        ask("error_too_large", "POST", "/api/v1/jobs", json, vec![b' '; (1 << 20) + 1]),
        ask("error_media_type", "POST", "/api/v1/jobs", &[("content-type", "text/plain")], "{}"),
        ask(
            "spec",
            "GET",
            &format!("/api/v1/jobs/{}/spec", scene.ended),
            &[("authorization", &token)],
            Body::empty(),
        ),
        get("error_spec_token_required", &format!("/api/v1/jobs/{}/spec", scene.ended)),
        ask("cancel", "POST", &cancel, &[("authorization", &token)], ""),
        ask("cancel_again", "POST", &cancel, &[("authorization", &token)], ""),
        ask("error_token_required", "POST", &cancel, &[], ""),
        ask("error_wrong_token", "POST", &cancel, &[("authorization", "Bearer guess")], ""),
    ]
}

/// What steers, after the scene's running job was cancelled.
fn steering(scene: &Scene, read: &TokenSecret) -> Vec<Case> {
    let token = format!("Bearer {TOKEN}");
    let post = |name, path: String| ask(name, "POST", &path, &[("authorization", &token)], "");
    let job = |id: JobId, deed: &str| format!("/api/v1/jobs/{id}/{deed}");
    let keyed = [("authorization", token.as_str()), ("idempotency-key", "k")];
    let retry = |name, path: &str| ask(name, "POST", path, &keyed, "");
    let narrow = format!("Bearer {}", read.reveal());
    let odd = [("signature-input", "beacon=()"), ("signature", "x")];
    vec![
        post("pause", job(scene.ended, "pause")),
        post("resume", job(scene.ended, "resume")),
        retry("retry_failed", &job(scene.ended, "retry-failed")),
        retry("retry_failed_again", &job(scene.ended, "retry-failed")),
        retry("error_idempotency_key_reused", &job(scene.running, "retry-failed")),
        post("error_already_retried", job(scene.ended, "retry-failed")),
        post("retry_execution", format!("/api/v1/executions/{}-1/retry", scene.running)),
        post("error_not_failed", format!("/api/v1/executions/{}-0/retry", scene.running)),
        ask("error_scope", "POST", &job(scene.ended, "pause"), &[("authorization", &narrow)], ""),
        ask("error_signature_input", "POST", &job(scene.ended, "pause"), &odd, ""),
    ]
}

fn administration() -> Vec<Case> {
    let token = format!("Bearer {TOKEN}");
    let admin = |name, method: &str, path: &str, body: &'static str| {
        ask(name, method, &format!("/api/v1/admin/{path}"), &[("authorization", &token)], body)
    };
    let key = r#"{"kid":"new","public_key":"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}"#;
    vec![
        admin("admin_key_add", "POST", "keys", key),
        admin("admin_key_revoke", "DELETE", "keys/new", ""),
        admin("admin_keys", "GET", "keys", ""),
        admin("admin_webhook_secret", "GET", "keys/test/webhook-secret", ""),
        admin("error_name_taken", "POST", "keys", key),
        admin("error_invalid_key", "POST", "keys", r#"{"kid":"a","public_key":"AAAA"}"#),
        admin("error_key_not_found", "DELETE", "keys/nobody", ""),
        admin("admin_quota_set", "PUT", "quotas/test", r#"{"jobs_per_day":5}"#),
        admin("admin_quota", "GET", "quotas/test", ""),
        admin("admin_quota_back", "DELETE", "quotas/test", ""),
        admin("error_invalid_body", "PUT", "quotas/test", r#"{"jobs":5}"#),
        admin("admin_endpoint_forget", "POST", "endpoints/us-east%2Fm/forget-abandoned", ""),
        admin("admin_endpoint_set", "PUT", "endpoints/us-east%2Fm", r#"{"limit":0,"reset_breaker":true}"#),
        admin("admin_endpoint", "GET", "endpoints/us-east%2Fm", ""),
        admin("error_limit_too_high", "PUT", "endpoints/us-east%2Fm", r#"{"limit":9}"#),
        admin("error_endpoint_not_found", "GET", "endpoints/nowhere", ""),
        admin("admin_tokens", "GET", "tokens", ""),
        admin("error_token_not_found", "DELETE", "tokens/beacon_00000000", ""),
        admin("admin_audit", "GET", "audit?limit=2", ""),
        admin("admin_stuck", "GET", "stuck", ""),
        admin("admin_workers", "GET", "workers", ""),
    ]
}

fn errors(scene: &Scene) -> Vec<Case> {
    let job = |rest: &str| format!("/api/v1/jobs/{}{rest}", scene.running);
    let nobody = "0".repeat(32);
    vec![
        get("error_no_job", &format!("/api/v1/jobs/{nobody}")),
        get("error_no_execution", &format!("/api/v1/executions/{nobody}-0")),
        get("error_bad_escape", "/api/v1/jobs/%ff"),
        get("error_no_receipt", &format!("/api/v1/executions/{}-2/receipt", scene.running)),
        get("error_not_closed", &job("/close")),
        get("error_limit", &job("/executions?limit=501")),
        get("error_cursor", &job("/executions?cursor=x")),
        get("error_region", &job("/executions?region=moon")),
        get("error_query", "/api/v1/jobs?state=odd"),
        get("error_unknown_parameter", "/api/v1/jobs?states=queued"),
        get("error_include", &job("?include=secrets")),
        get("error_no_route", "/api/v1/nothing"),
        ask("error_method", "DELETE", "/api/v1/jobs", &[], Body::empty()),
        ask("error_not_acceptable", "GET", "/api/v1/jobs", &[("accept", "text/html")], Body::empty()),
    ]
}

async fn check_all(desk: &Desk) {
    let scene = Scene::set(desk).await;
    let read = desk.token(Scope::Read).await;
    let cases = reads(&scene).into_iter().chain(errors(&scene)).chain(writes(desk, &scene));
    let cases = cases.chain(steering(&scene, &read)).chain(administration());
    let mut differences = Vec::new();
    let document = beacon_web::document();
    for Case { name, request } in cases {
        let asked = (request.method().as_str().to_lowercase(), request.uri().path().to_owned());
        let answer = desk.send(request).await;
        assert!(is_told(&document, &asked, &answer), "{name}: the document lacks {}", answer.status);
        assert_eq!(answer.request_id(), "golden", "{name}");
        if name.starts_with("error_") {
            answer.refusal();
        } else {
            assert!(answer.status.is_success(), "{name}: {} {}", answer.status, answer.body);
        }
        differences.extend(difference(name, &answer));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Whether the OpenAPI document tells this status of the route, if it has the route.
fn is_told(document: &Value, (method, path): &(String, String), answer: &Answer) -> bool {
    let fits = |template: &str| {
        let (parts, asked) = (template.split('/'), path.split('/'));
        parts.clone().count() == asked.clone().count()
            && parts.zip(asked).all(|(part, asked)| part == asked || part.starts_with('{'))
    };
    let paths = document["paths"].as_object().unwrap();
    // A name of its own goes before a placeholder.
    let route = paths.get(path).or_else(|| paths.iter().find(|(path, _)| fits(path)).map(|(_, route)| route));
    let operation = route.and_then(|route| route.get(method));
    operation.is_none_or(|operation| operation["responses"][answer.status.as_str()].is_object())
}

/// How this answer differs from its file, if it does.
fn difference(name: &str, answer: &Answer) -> Option<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    let shown = serde_json::to_string_pretty(&shape(answer)).unwrap() + "\n";
    if std::env::var("BEACON_GOLDEN").is_ok_and(|value| value == "write") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &shown).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    (golden != shown).then(|| format!("{name}: expected {golden}but was {shown}"))
}

/// Status, headers and body; what a store may choose freely is masked.
fn shape(answer: &Answer) -> Value {
    let promised = PROMISED.iter().filter(|name| !answer.header(name).is_empty());
    let headers: serde_json::Map<_, _> =
        promised.map(|name| ((*name).to_owned(), json!(answer.header(name)))).collect();
    let mut body = answer.body.clone();
    if body.is_null() {
        let text = String::from_utf8(answer.bytes.clone()).unwrap();
        body = text.lines().collect();
    }
    if body["next"].is_string() {
        body["next"] = json!("CURSOR");
    }
    json!({ "status": answer.status.as_u16(), "headers": headers, "body": body })
}

// A3
#[tokio::test]
async fn every_route_and_error_over_the_memory_store_is_as_its_golden_file_says() {
    check_all(&Desk::new()).await;
}

// A3
#[tokio::test]
async fn every_route_and_error_over_sqlite_is_as_its_golden_file_says() {
    if std::env::var("BEACON_GOLDEN").is_err() {
        check_all(&Desk::in_a_file()).await;
    }
}

// A3
#[tokio::test]
async fn every_route_and_error_over_postgres_is_as_its_golden_file_says() {
    if std::env::var("BEACON_GOLDEN").is_err() {
        check_all(&Desk::on_a_server().await).await;
    }
}
