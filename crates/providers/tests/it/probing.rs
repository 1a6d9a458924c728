//! Probing: health and models are asked, the inference address never gets a request (C4, C8).

use std::time::Duration;

use beacon_domain::{Monotonic, ProbeFinding, ProbeReport};
use beacon_testkit::{ManualClock, Reply, Script, ScriptedEndpoint, Step, reply};
use serde_json::json;

use crate::support::endpoints::{KEY, SECRET, TOKEN, backend, modal, openai};

const LIMIT: Monotonic = Monotonic(Duration::from_secs(60));

/// Probes an endpoint whose health and models addresses answer so, each on a host of its own as on Modal.
async fn probe(text: fn(&str) -> String, health: Reply, models: Reply) -> ProbeReport {
    let inference = ScriptedEndpoint::start(Script::new()).await;
    let health = ScriptedEndpoint::start(Script::new().then(health)).await;
    let models = ScriptedEndpoint::start(Script::new().then(models)).await;
    let text = text(&inference.url("/"))
        + &format!("health_url = {:?}\nmodels_url = {:?}\n", health.url("/?key=1"), models.url("/"));

    let report = backend(&text, ManualClock::new()).probe(LIMIT).await;

    assert_eq!((health.methods(), models.methods()), (vec!["GET".to_owned()], vec!["GET".to_owned()]));
    assert_eq!((inference.connections(), inference.requests().len()), (1, 0), "a connection, and no request");
    report
}

fn healthy() -> Reply {
    reply(200)
        .json(json!({ "status": "healthy", "region": "asia-southeast", "models_available": ["llama3.2-1b"] }))
}

fn listing(name: &str) -> Reply {
    reply(200).json(json!({ "object": "list", "data": [{ "id": "other" }, { "id": name }] }))
}

fn find<'a>(report: &'a ProbeReport, purpose: &str) -> &'a ProbeFinding {
    report.findings.iter().find(|finding| finding.purpose == purpose).unwrap()
}

#[tokio::test]
async fn a_good_endpoint_is_found_good_at_every_address() {
    let models = reply(200).json(json!({ "models_available": ["mistral-7b", "llama3.2-1b"] }));

    let report = probe(modal, healthy(), models).await;

    assert!(report.ok(), "{report:?}");
    let purposes: Vec<&str> = report.findings.iter().map(|finding| finding.purpose.as_str()).collect();
    assert_eq!(purposes, ["health", "models", "inference"]);
    assert_eq!(find(&report, "health").detail, "healthy, serves llama3.2-1b");
    assert_eq!(find(&report, "models").detail, "serves llama3.2-1b");
    assert!(find(&report, "inference").detail.contains("no request was sent"), "{report:?}");
    assert!(report.findings.iter().all(|finding| !finding.url.contains('?')), "a query may be a secret");
}

#[tokio::test]
async fn configured_addresses_get_the_credentials() {
    let inference = ScriptedEndpoint::start(Script::new()).await;
    let health = ScriptedEndpoint::start(Script::new().then_always(reply(200))).await;
    let address = format!("health_url = {:?}\n", health.url("/"));

    for text in [modal(&inference.url("/")), openai(&inference.url("/"))] {
        backend(&(text + &address), ManualClock::new()).probe(LIMIT).await;
    }

    let requests = health.requests();
    assert_eq!(
        (requests[0].header("modal-key"), requests[0].header("modal-secret")),
        (Some(KEY), Some(SECRET))
    );
    assert_eq!(requests[1].header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
}

async fn check_health(health: Reply, ok: bool, detail: &str) {
    let report = probe(modal, health, reply(200).json(json!({ "models_available": ["llama3.2-1b"] }))).await;

    let finding = find(&report, "health");
    assert_eq!(finding.ok, ok, "{finding:?}");
    assert!(finding.detail.contains(detail), "{detail}: {finding:?}");
    assert_eq!(report.ok(), ok);
}

#[tokio::test]
async fn every_kind_of_health_is_explained() {
    check_health(reply(200), true, "healthy").await;
    check_health(reply(200).text("Ollama is running"), true, "healthy").await;
    check_health(reply(200).json(json!({ "status": "ok" })), true, "healthy").await;
    check_health(reply(200).json(json!({ "status": "degraded\u{1b}[0m" })), false, "calls itself \"degraded")
        .await;
    check_health(reply(200).html("<html>"), false, "check that health_url").await;
    check_health(
        reply(200).json(json!({ "region": "us-east" })),
        false,
        "not in asia-pacific; correct region",
    )
    .await;
    check_health(reply(200).json(json!({ "models_available": [] })), false, "no model at all; correct").await;
    check_health(reply(401).text("modal-http: missing credentials"), false, "check auth").await;
    check_health(reply(404).text("modal-http: invalid function call"), false, "correct the URL's label")
        .await;
    check_health(
        reply(404).text("modal-http: app for invoked web endpoint is stopped"),
        false,
        "the app is stopped; deploy it again",
    )
    .await;
    check_health(reply(404), false, "each function has its own host").await;
    check_health(reply(303).location("/x"), false, "still starting after 150 s, try again").await;
    check_health(reply(301).location("/x"), false, "configure the address that it leads to").await;
    check_health(reply(429), false, "try again later").await;
    check_health(reply(503), false, "it may be starting").await;
    check_health(reply(500), false, "see its logs").await;
    check_health(reply(418), false, "check the URL").await;
}

#[tokio::test]
async fn what_an_endpoint_says_cannot_command_a_terminal() {
    let health = reply(200).json(json!({ "status": "\u{1b}[2Jbad" }));

    let report = probe(modal, health, listing("\u{1b}[2Jbad")).await;

    assert!(
        report.findings.iter().all(|finding| !finding.detail.chars().any(char::is_control)),
        "{report:?}"
    );
}

async fn check_models(models: Reply, ok: bool, detail: &str) {
    let report = probe(openai, reply(200), models).await;

    let finding = find(&report, "models");
    assert_eq!(finding.ok, ok, "{finding:?}");
    assert!(finding.detail.contains(detail), "{detail}: {finding:?}");
}

#[tokio::test]
async fn a_model_list_without_the_model_is_explained() {
    // C8
    check_models(listing("llama3.2:1b"), true, "serves llama3.2:1b").await;
    check_models(listing("llama3.2:3b"), false, "does not list llama3.2:1b, but other, llama3.2:3b; correct")
        .await;
    check_models(reply(200).json("[]"), false, "no object; check models_url").await;
    check_models(reply(200).json("{}"), false, "neither models_available nor data").await;
    check_models(reply(200).html("<html>"), false, "HTML").await;
    check_models(reply(401), false, "check auth").await;
}

#[tokio::test]
async fn addresses_that_are_not_configured_are_not_asked() {
    // C4
    let inference = ScriptedEndpoint::start(Script::new()).await;

    let report = backend(&modal(&inference.url("/")), ManualClock::new()).probe(LIMIT).await;

    assert_eq!(report.findings.len(), 1);
    assert!(inference.requests().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_explained_at_every_address() {
    let text = modal("http://127.0.0.1:1/") + "health_url = \"http://127.0.0.1:1/\"\n";

    let report = backend(&text, ManualClock::new()).probe(LIMIT).await;

    for finding in &report.findings {
        assert!(!finding.ok);
        assert!(finding.detail.contains("nothing listens there"), "{finding:?}");
        assert!(finding.detail.contains(&format!("check {}_url", finding.purpose)), "{finding:?}");
    }
}

#[tokio::test]
async fn a_probe_of_an_address_that_hangs_ends_at_its_deadline() {
    let hanging = ScriptedEndpoint::start(Script::new().then(Step::Hang)).await;
    let clock = ManualClock::new();
    let text = modal(&hanging.url("/")) + &format!("health_url = {:?}\n", hanging.url("/health"));
    let backend = backend(&text, clock.clone());
    let probing = tokio::spawn(async move { backend.probe(LIMIT).await });
    hanging.wait_for_requests(1).await;

    clock.advance(LIMIT.0);
    let report = probing.await.unwrap();

    assert!(find(&report, "health").detail.contains("time limit passed"), "{report:?}");
    assert!(find(&report, "inference").ok);
}
