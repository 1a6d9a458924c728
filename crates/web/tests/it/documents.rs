//! The OpenAPI document, the page over it, and docs/API.md: they say what the code does.

use std::collections::BTreeSet;

use axum::body::Body;
use beacon_testkit::SpecBuilder;
use beacon_web::document;
use http::Request;
use serde_json::Value;

use crate::{
    desk::{Desk, TOKEN},
    scene::Scene,
};

const API_MD: &str = include_str!("../../../../docs/API.md");

#[tokio::test]
async fn the_document_is_served_as_it_is_made() {
    let desk = Desk::new();

    let served = desk.get("/openapi.json").await;

    assert_eq!(served.body, document());
    assert_eq!(served.body["openapi"], "3.1.0");
}

#[tokio::test]
async fn the_page_runs_its_own_script_and_asks_nobody_else() {
    let desk = Desk::new();

    let answer = desk.get("/docs").await;
    let page = String::from_utf8(answer.bytes.clone()).unwrap();

    let policy = answer.header("content-security-policy");
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let (_, without_scripts) = page.split_once("<noscript>").unwrap();
    assert!(without_scripts.split("</noscript>").next().unwrap().contains("href=\"/openapi.json\""));
}

#[test]
fn every_reference_in_the_document_leads_somewhere_and_every_operation_has_its_own_name() {
    let document = document();
    let mut names = BTreeSet::new();

    fn references(value: &Value, place: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members
                    .iter()
                    .for_each(|(name, member)| references(member, &format!("{place}/{name}"), found));
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(n, item)| references(item, &format!("{place}/{n}"), found));
            }
            Value::Null => panic!("null stands for nothing at {place}"),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&document, "", &mut found);

    assert!(!found.is_empty());
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{method} {path}: {name} is there twice");
            assert!(operation["tags"].is_array() && operation["summary"].is_string(), "{method} {path}");
        }
    }
}

#[test]
fn closed_sets_of_the_document_are_those_of_the_domain() {
    use beacon_domain::{ExecutionState, JobState};
    let document = document();
    let parameter = |path: &str, name: &str| {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap().clone();
        let found = parameters.into_iter().find(|parameter| parameter["name"] == name).unwrap();
        let mut text = found["schema"].clone();
        if let Some(one) = text["oneOf"].as_array().or(text["anyOf"].as_array()) {
            text = one.iter().find(|schema| schema["enum"].is_array()).unwrap().clone();
        }
        text["enum"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };

    assert_eq!(parameter("/api/v1/jobs", "state"), JobState::ALL.map(JobState::as_str));
    let path = "/api/v1/jobs/{id}/executions";
    assert_eq!(parameter(path, "state"), ExecutionState::ALL.map(ExecutionState::as_str));
    assert_eq!(parameter(path, "region"), beacon_spec::Region::ALL.map(beacon_spec::Region::as_str));
}

/// A command of docs/API.md, as far as they go: `curl [-sS] [-N] [-o FILE] [-X METHOD] [-H HEADER] [--data-binary @FILE] URL`.
#[derive(Debug)]
struct Curl {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    signed: bool,
    body: Option<String>,
}

fn curls() -> Vec<Curl> {
    let blocks = API_MD.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines =
        blocks.flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| line.starts_with("curl ")).map(|line| parse(&line)).collect()
}

fn parse(line: &str) -> Curl {
    let mut words = words(line).into_iter().skip(1);
    let mut curl = Curl {
        method: "GET".to_owned(),
        path: String::new(),
        headers: Vec::new(),
        signed: false,
        body: None,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap();
        match word.as_str() {
            "-sS" | "-N" | "-I" => {
                if word == "-I" {
                    curl.method = "HEAD".to_owned();
                }
            }
            "-o" => drop(value()),
            "-X" => curl.method = value(),
            "-H" => {
                let header = value();
                if header == "@headers.txt" {
                    curl.signed = true;
                    continue;
                }
                let (name, value) = header.split_once(": ").unwrap();
                curl.headers.push((name.to_owned(), value.to_owned()));
            }
            "--data-binary" => {
                if curl.method == "GET" {
                    curl.method = "POST".to_owned();
                }
                curl.body = Some(value().strip_prefix('@').unwrap().to_owned());
            }
            url => curl.path = url.strip_prefix("$BEACON").unwrap_or_else(|| panic!("{line}")).to_owned(),
        }
    }
    if curl.body.is_some() && !curl.headers.iter().any(|(name, _)| name == "content-type") {
        // What curl says of a body by itself.
        curl.headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    }
    curl
}

/// The words of a shell line with plain, single-quoted and double-quoted parts.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            (_, c) => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// What stands for an id in a command; a longer name before one that it begins with.
const PLACEHOLDERS: [&str; 6] = ["$JOB", "$EXECUTION", "$FAILED", "$TOKEN_ID", "$KID", "$ENDPOINT"];

/// What a command of the docs sends.
fn body_of(desk: &Desk, name: &str) -> String {
    let signed = desk.signed(&SpecBuilder::new("fresh").regions(&["US", "EU"]));
    let signed = String::from_utf8(signed).unwrap();
    let key = beacon_spec::SigningKey::from_seed([9; 32]).public_key_base64();
    match name {
        "job.signed.json" => signed,
        "wrapped.json" => format!(r#"{{"jobspec":{signed}}}"#),
        "key.json" => format!(r#"{{"kid":"new","public_key":"{key}"}}"#),
        "quota.json" => r#"{"open_executions":1000,"jobs_per_day":50}"#.to_owned(),
        "endpoint.json" => r#"{"limit":1,"drain":false,"reset_breaker":true}"#.to_owned(),
        "token.json" => r#"{"name":"ci","scope":"operate","expires_at":"2030-01-01T00:00:00Z"}"#.to_owned(),
        other => panic!("docs/API.md sends {other}, which is nowhere explained"),
    }
}

/// The route of the document that this command asks, as `GET /api/v1/jobs/{id}`.
fn route(document: &Value, curl: &Curl) -> String {
    let path = curl.path.split('?').next().unwrap();
    let path = PLACEHOLDERS.iter().fold(path.to_owned(), |path, name| path.replace(name, "{id}"));
    let method = curl.method.replace("HEAD", "GET").to_lowercase();
    assert!(document["paths"][&path][&method].is_object(), "no route for {curl:?}");
    format!("{} {path}", method.to_uppercase())
}

#[tokio::test]
async fn every_route_has_a_command_in_the_docs_and_every_command_works() {
    let document = document();
    let mut shown = BTreeSet::new();

    for curl in curls() {
        shown.insert(route(&document, &curl));
        // Each command has a server of its own, so that none depends on what another did.
        let desk = Desk::new();
        let scene = Scene::set(&desk).await;
        let token = desk.token(beacon_domain::Scope::Read).await;
        let ids = [
            ("$JOB", scene.ended.to_string()),
            ("$EXECUTION", format!("{}-0", scene.ended)),
            ("$FAILED", format!("{}-1", scene.ended)),
            ("$TOKEN_ID", token.id().to_owned()),
            ("$TOKEN", TOKEN.to_owned()),
            ("$KID", "test".to_owned()),
            ("$ENDPOINT", "us-east%2Fm".to_owned()),
        ];
        let filled = |text: &str| ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id));
        let path = filled(&curl.path);
        let mut request = Request::builder().method(curl.method.as_str()).uri(&path);
        for (name, value) in &curl.headers {
            request = request.header(name, filled(value));
        }
        if curl.signed {
            request = desk.sign(request, &beacon_testkit::test_key(), &path, "nonce");
        }
        let body = curl.body.as_deref().map_or_else(Body::empty, |name| Body::from(body_of(&desk, name)));
        let answer = desk.send(request.body(body).unwrap()).await;
        let good = answer.status.is_success() || answer.status == 304;
        assert!(good, "{curl:?}: {} {}", answer.status, answer.body);
    }

    let routes = document["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
        let methods = operations.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let missing: Vec<_> = routes.filter(|route| !shown.contains(route)).collect();
    assert!(missing.is_empty(), "docs/API.md has no command for {missing:?}");
}

/// The codes that golden files of errors have.
fn golden_codes() -> BTreeSet<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let errors = files.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("error_"));
    let code = |file: std::path::PathBuf| {
        let golden: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        golden["body"]["error"]["code"].as_str().unwrap().to_owned()
    };
    errors.map(code).collect()
}

#[test]
fn every_error_that_a_golden_file_shows_is_in_the_docs() {
    for code in golden_codes() {
        let family = code.split(':').next().unwrap();
        assert!(API_MD.contains(&format!("`{family}`")), "docs/API.md does not tell {code}");
    }
}
