//! One job's trace, from the request that submits it to its records, as a collector, an endpoint, a log and the API see it
//! (O4); and collectors that are away or hang.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use beacon_domain::{JobId, SpanId, TraceParent};
use beacon_testkit::{Cluster, Script, ScriptedEndpoint, SeenRequest, Step, reply};
use beacon_tests::{Deployment, Service, Simulator, TOKEN, root};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Any},
    trace::v1::Span,
};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::SIX_CELLS;

const QUESTION: &str = "identity_basic";
const ANSWER: &str = "an answer that stays inside";
/// A trace of the submitter's own.
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A span with the service that sent it.
struct Sent {
    service: String,
    span: Span,
}

impl Sent {
    fn attribute(&self, key: &str) -> String {
        text(&self.span.attributes, key)
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|known| known.key == key);
    match value.and_then(|known| known.value.as_ref()?.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::BoolValue(truth)) => truth.to_string(),
        _ => String::new(),
    }
}

/// All spans that a collector got, decoded as OTLP has it.
fn spans(collector: &ScriptedEndpoint) -> Vec<Sent> {
    let mut sent = Vec::new();
    for request in collector.requests() {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/v1/traces"));
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        let batch = ExportTraceServiceRequest::decode(request.body).unwrap();
        for resource in batch.resource_spans {
            let service = text(&resource.resource.unwrap().attributes, "service.name");
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            sent.extend(spans.map(|span| Sent { service: service.clone(), span }));
        }
    }
    sent
}

/// A job of one execution.
fn small_job(folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(root().join("examples/unsigned/two-questions.json")).unwrap();
    let mut job: Value = serde_json::from_str(&text).unwrap();
    job["metadata"]["models"] = json!(["llama3.2-1b"]);
    job["constraints"]["regions"] = json!(["US"]);
    job["constraints"]["min_regions"] = 1.into();
    job["questions"] = json!([QUESTION]);
    let file = folder.join("small.json");
    std::fs::write(&file, job.to_string()).unwrap();
    file
}

fn chat() -> Script {
    let answer = json!({
        "id": "c", "object": "chat.completion", "model": "llama3.2-1b",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": ANSWER } }],
    });
    Script::new().then_always(reply(200).json(answer))
}

fn stopped(mut service: Service) -> String {
    service.process.signal("TERM");
    assert_eq!(service.process.ends(), Some(0), "{}", service.log());
    service.log()
}

/// What was seen of one job, wherever it went.
struct Followed {
    job: String,
    state: String,
    record: Value,
    /// What the collector got.
    sent: Vec<Sent>,
    exported: Vec<SeenRequest>,
    /// What the endpoint got.
    call: SeenRequest,
    api_log: String,
    worker_log: String,
}

/// The job of these tests; it runs once.
fn followed() -> &'static Followed {
    static FOLLOWED: OnceLock<Followed> = OnceLock::new();
    FOLLOWED.get_or_init(follow)
}

fn follow() -> Followed {
    let runtime = Runtime::new().unwrap();
    let collector = runtime.block_on(ScriptedEndpoint::start(Script::new().then_always(reply(200))));
    let endpoint = runtime.block_on(ScriptedEndpoint::start(chat()));
    let folder = tempfile::tempdir().unwrap();
    let endpoints = folder.path().join("endpoints.toml");
    let served = format!(
        "[[endpoint]]\nprovider = \"openai\"\nmodel = \"llama3.2-1b\"\nregion = \"US\"\ninference_url = \"{}\"\n",
        endpoint.url("/")
    );
    std::fs::write(&endpoints, served).unwrap();
    let deployment = Deployment::new(Cluster::shared(), folder.path(), &endpoints);
    let url = collector.url("");
    let settings =
        [("BEACON__TELEMETRY__OTLP_ENDPOINT", url.as_str()), ("BEACON__LOG__LEVEL", "debug,h2=off")];
    let api = deployment.start("beacon-api", &settings);
    let worker = deployment.start("beacon-worker", &settings);
    let signed = deployment.sign(&small_job(folder.path()));
    let (status, accepted) = api.ask_with("POST", "/api/v1/jobs", &[("traceparent", CALLER)], &signed);
    assert_eq!(status, 202, "{accepted}");
    let job = accepted["job_id"].as_str().unwrap().to_owned();
    let state = api.ended(&job)["state"].as_str().unwrap().to_owned();
    let (_, record) = api.ask("GET", &format!("/api/v1/executions/{job}-0"), b"");
    let (refused, _) = api.ask_with("POST", &format!("/api/v1/jobs/{job}/cancel"), &[], b"");
    assert_eq!(refused, 401);
    // What was not sent yet is sent at the end.
    let (api_log, worker_log) = (stopped(api), stopped(worker));
    let (sent, exported) = (spans(&collector), collector.requests());
    let call = endpoint.requests().swap_remove(0);
    Followed { job, state, record, sent, exported, call, api_log, worker_log }
}

impl Followed {
    /// The only span of this name from this service.
    fn span(&self, service: &str, name: &str) -> &Sent {
        let mut found = self.sent.iter().filter(|sent| sent.service == service && sent.span.name == name);
        let first = found.next().unwrap_or_else(|| panic!("no span {name} of {service}"));
        assert!(found.next().is_none(), "one span {name}");
        first
    }

    fn request(&self) -> &Sent {
        self.span("beacon-api", "POST /api/v1/jobs")
    }

    fn attempt(&self) -> &Sent {
        self.span("beacon-worker", "attempt")
    }
}

/// The fields of the first line that begins so.
fn line(log: &str, beginning: &str) -> Value {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines = lines.map(|mut line| line["fields"].take());
    let says = |fields: &Value| fields["message"].as_str().is_some_and(|text| text.starts_with(beginning));
    lines.find(says).unwrap_or_else(|| panic!("no line {beginning}: {log}"))
}

// O4
#[test]
fn a_job_is_one_trace_over_both_services() {
    let followed = followed();
    let id: JobId = followed.job.parse().unwrap();

    let (request, attempt) = (followed.request(), followed.attempt());
    let [call, record] = ["call", "record"].map(|name| followed.span("beacon-worker", name));

    assert_eq!(followed.state, "completed");
    for one in [request, attempt, call, record] {
        assert_eq!(one.span.trace_id, id.as_bytes(), "{}", one.span.name);
    }
    assert_eq!(request.span.span_id, SpanId::of_job(id).as_bytes());
    assert_eq!(attempt.span.parent_span_id, request.span.span_id);
    assert_eq!(call.span.parent_span_id, attempt.span.span_id);
    assert_eq!(record.span.parent_span_id, attempt.span.span_id);
}

// O4
#[test]
fn a_submitters_own_trace_is_linked_and_names_nothing() {
    let (followed, caller) = (followed(), CALLER.parse::<TraceParent>().unwrap());

    let links = &followed.request().span.links;

    assert_eq!(links.len(), 1);
    assert_eq!(links[0].trace_id, caller.trace());
    assert_eq!(links[0].span_id, caller.span().as_bytes());
    assert!(followed.sent.iter().all(|sent| sent.span.trace_id != caller.trace()));
}

// A1
#[test]
fn whoever_may_not_touch_a_job_adds_nothing_to_its_trace() {
    let followed = followed();
    let id: JobId = followed.job.parse().unwrap();

    let refused = followed.span("beacon-api", "POST /api/v1/jobs/{id}/cancel");

    assert_eq!(refused.attribute("http.response.status_code"), "401");
    assert_ne!(refused.span.trace_id, id.as_bytes());
}

#[test]
fn spans_say_which_cell_and_what_came_of_it_and_never_what_was_asked_or_answered() {
    let followed = followed();
    let prompt = followed.record["prompt"].as_str().unwrap();

    let told = ["beacon.question", "beacon.model", "beacon.region", "beacon.outcome", "beacon.attempt"];
    let told = told.map(|key| followed.attempt().attribute(key));

    assert_eq!(told, [QUESTION, "llama3.2-1b", "us-east", "completed", "1"]);
    assert_eq!(followed.request().attribute("http.response.status_code"), "202");
    assert_eq!(followed.record["answer"]["text"], ANSWER);
    for exported in &followed.exported {
        let text = String::from_utf8_lossy(&exported.body);
        for inside in [prompt, ANSWER, TOKEN] {
            assert!(!inside.is_empty() && !text.contains(inside), "{inside}");
        }
    }
}

// O4
#[test]
fn an_endpoint_is_told_the_trace_and_the_span_of_the_attempt() {
    let followed = followed();
    let span = &followed.attempt().span;

    let parent: TraceParent = followed.call.header("traceparent").unwrap().parse().unwrap();

    assert_eq!(followed.call.header("x-trace-id"), Some(followed.job.as_str()));
    assert_eq!(span.trace_id, parent.trace());
    assert_eq!(span.span_id, parent.span().as_bytes());
}

// O4
#[test]
fn an_executions_record_names_the_trace() {
    let followed = followed();

    assert_eq!(followed.record["trace_id"], followed.job.as_str(), "{}", followed.record);
}

// O4
#[test]
fn log_lines_of_both_services_name_the_trace() {
    let followed = followed();
    let job: Value = followed.job.as_str().into();

    let submitted = line(&followed.api_log, "POST /api/v1/jobs");

    assert_eq!(submitted["job"], job, "{submitted}");
    assert_eq!(submitted["caller_trace"], &CALLER[3..35], "{submitted}");
    assert_eq!(submitted["request_id"], followed.request().attribute("beacon.request_id").as_str());
    for beginning in ["attempt 1 of", "question batch completed", "job "] {
        assert_eq!(line(&followed.worker_log, beginning)["job"], job, "{beginning}");
    }
}

// Of two ratios, one process must not choose other jobs than the other.
#[test]
fn without_a_share_of_the_traces_nothing_is_sent() {
    let runtime = Runtime::new().unwrap();
    let collector = runtime.block_on(ScriptedEndpoint::start(Script::new().then_always(reply(200))));
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, "warm = { fixed_s = 0.01 }");
    let deployment = Deployment::new(Cluster::shared(), folder.path(), &simulator.endpoints);
    let url = collector.url("");
    let settings =
        [("BEACON__TELEMETRY__OTLP_ENDPOINT", url.as_str()), ("BEACON__TELEMETRY__SAMPLE_RATIO", "0.0")];
    let api = deployment.start("beacon-api", &settings);
    let worker = deployment.start("beacon-worker", &settings);

    let job = api.submit(&deployment.sign(&small_job(folder.path())));
    let ended = api.ended(&job);
    let _ = (stopped(api), stopped(worker));

    assert_eq!(ended["state"], "completed", "{ended}");
    assert_eq!(collector.connections(), 0);
}

/// Runs a job of twelve calls of 50 ms; gives how long services took to end, and what the worker said.
fn run_beside(collector: &str) -> (Duration, String) {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, "warm = { fixed_s = 0.05 }");
    let deployment = Deployment::new(Cluster::shared(), folder.path(), &simulator.endpoints);
    let settings = [("BEACON__TELEMETRY__OTLP_ENDPOINT", collector)];
    let api = deployment.start("beacon-api", &settings);
    let worker = deployment.start("beacon-worker", &settings);
    let job = api.submit(&deployment.sign(&root().join("examples/unsigned/two-questions.json")));

    let ended = api.ended_within(&job, Duration::from_secs(20));
    let began = Instant::now();
    let (_, log) = (stopped(api), stopped(worker));

    assert_eq!(ended["counts"]["completed"], 12, "{ended}");
    eprintln!("both services ended after {:.1} s", began.elapsed().as_secs_f64());
    (began.elapsed(), log)
}

/// What two services may take to end, one after the other: two seconds each for the last spans, and some for a busy machine.
const ENDS: Duration = Duration::from_secs(10);

#[test]
fn a_collector_that_is_away_delays_nothing_and_is_told_once() {
    let (took, log) = run_beside("http://127.0.0.1:1");

    assert!(took < ENDS, "{took:?}");
    assert_eq!(log.matches("spans cannot be sent to http://127.0.0.1:1/v1/traces").count(), 1, "{log}");
}

#[test]
fn a_collector_that_hangs_delays_neither_a_run_nor_the_exit() {
    let runtime = Runtime::new().unwrap();
    let collector = runtime.block_on(ScriptedEndpoint::start(Script::new().then_always(Step::Hang)));

    let (took, _) = run_beside(&collector.url(""));

    assert!(took < ENDS, "{took:?}");
    assert!(collector.connections() > 0, "it was asked");
}
