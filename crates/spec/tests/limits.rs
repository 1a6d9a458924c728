//! The published schema and the enforced limits are the same (P10): what is at a limit is accepted by both, and what is
//! above it is refused by both, with the path, what was found and what is allowed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod schema;

use std::{cell::RefCell, collections::BTreeSet};

use beacon_spec::{
    Freshness, JobName, KeyRing, ModelId, PAYLOAD_TYPE, Profile, QuestionId, SignOptions, SignedSpec,
    SigningKey, Timestamp, VerifyError, job_schema,
    limits::{
        MAX_BENCHMARK_CHARS, MAX_COST_USD, MAX_DEPTH, MAX_EVENT_CHARS, MAX_EXECUTIONS, MAX_JSON_VALUES,
        MAX_MODELS, MAX_NONCE_CHARS, MAX_QUESTION_CHARS, MAX_QUESTIONS, MAX_REGION_CHARS, MAX_REGIONS,
        MAX_RUNS, MAX_SEED, MAX_SPEC_BYTES, MAX_TEMPERATURE, MAX_TIMEOUT_NS, MAX_TIMESTAMP_CHARS, MAX_TOKENS,
        MAX_URL_CHARS, MAX_VERSION_CHARS, MAX_WEBHOOK_EVENTS, MAX_WEBHOOKS,
    },
    sign_spec, verify,
};
use serde_json::{Value, json};

/// The test key: never trust it.
fn key() -> SigningKey {
    SigningKey::from_seed([0x42; 32])
}

fn job() -> Value {
    json!({
        "id": "limits", "benchmark": { "name": "limits" }, "questions": ["math_basic"], "models": ["m"],
        "constraints": { "regions": ["US"] }, "metadata": {},
    })
}

/// The base with a value at a dotted path, where `[0]` is the first item of a new list.
fn job_with(path: &str, value: Value) -> Value {
    let mut job = job();
    let mut place = &mut job;
    for part in path.split('.') {
        let (name, index) = part.strip_suffix("[0]").map_or((part, false), |name| (name, true));
        if place[name].is_null() || index {
            place[name] = if index { json!([{ "id": "m" }]) } else { json!({}) };
        }
        place = if index { &mut place[name][0] } else { &mut place[name] };
    }
    *place = value;
    job
}

fn signed(mut job: Value) -> Value {
    let bytes = sign_spec(&mut job, &key(), Profile::Jcs, &SignOptions::default()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn verified(bytes: impl Into<Vec<u8>>) -> Result<(), VerifyError> {
    let ring = json!([{ "kid": "test", "public_key": key().public_key_base64(), "example": true }]);
    let ring = KeyRing::parse(ring.to_string().as_bytes()).unwrap();
    let signed = SignedSpec::new(bytes.into())?;
    verify(signed, &ring, Timestamp::UNIX_EPOCH, Freshness::NotedOnly).map(|_| ())
}

/// Checks jobs against both, and remembers which limits of the schema were met.
struct Both {
    schema: Value,
    met: RefCell<BTreeSet<String>>,
}

impl Both {
    fn new() -> Self {
        Self { schema: job_schema(), met: RefCell::default() }
    }

    fn accept(&self, signed: &Value) {
        let violations = schema::violations(&self.schema, signed);
        assert!(violations.is_empty(), "{violations:?}");
        verified(signed.to_string()).unwrap();
    }

    /// Refused by both; the message names all of these.
    fn refuse(&self, signed: &Value, path: &str, named: &[&str]) {
        let violations = schema::violations(&self.schema, signed);
        assert!(!violations.is_empty(), "the schema allows {path}");
        let error = verified(signed.to_string()).unwrap_err();
        assert!(error.code().ends_with(&format!(":{path}")), "{path}: {}", error.code());
        let message = error.to_string();
        assert!(named.iter().all(|word| message.contains(word)), "{path}: {message}");
        self.met.borrow_mut().extend(violations);
    }

    /// `make(n)` is the value at `path` of size n.
    fn size(&self, path: &str, limit: usize, make: impl Fn(usize) -> Value) {
        self.accept(&signed(job_with(path, make(limit))));
        let (found, allowed) = (format!("has {}", limit + 1), format!("at most {limit}"));
        self.refuse(&signed(job_with(path, make(limit + 1))), path, &[path, &found, &allowed]);
    }

    fn text(&self, path: &str, limit: usize) {
        // Characters are counted, not bytes.
        self.size(path, limit, |n| json!("é".repeat(n)));
        self.refuse(&signed(job_with(path, json!(5))), path, &["is 5, it must be a"]);
    }

    /// A text that must not be empty.
    fn name(&self, path: &str, at: &str, limit: usize) {
        self.text(path, limit);
        let error = verified(signed(job_with(path, json!(""))).to_string()).unwrap_err();
        assert!(error.code().ends_with(&format!(":{at}")), "{}", error.code());
        self.met.borrow_mut().extend(schema::violations(&self.schema, &signed(job_with(path, json!("")))));
        self.met
            .borrow_mut()
            .extend(schema::violations(&self.schema, &signed(job_with(path, json!("a\nb")))));
        verified(signed(job_with(path, json!("a\nb"))).to_string()).unwrap_err();
    }

    fn whole(&self, path: &str, limit: u64) {
        self.number(path, limit as f64, 1.0);
        self.accept(&signed(job_with(path, json!(limit))));
        self.refuse(&signed(job_with(path, json!(0.5))), path, &["is 0.5", "a whole number"]);
        self.refuse(&signed(job_with(path, json!("1"))), path, &["is \"1\"", "a whole number"]);
    }

    fn number(&self, path: &str, limit: f64, step: f64) {
        let allowed = format!("from 0 to {limit}");
        self.accept(&signed(job_with(path, json!(limit))));
        self.accept(&signed(job_with(path, Value::Null)));
        self.accept(&signed(job_with(path, json!(0))));
        let above = json!(limit + step);
        self.refuse(&signed(job_with(path, above.clone())), path, &[path, &format!("is {above}"), &allowed]);
        self.refuse(&signed(job_with(path, json!(-1))), path, &[path, "is -1", &allowed]);
    }

    fn regions(&self, path: &str) {
        self.size(path, MAX_REGIONS, |n| json!(vec!["US"; n]));
        self.refuse(&signed(job_with(path, json!("US"))), path, &["is \"US\"", "an array"]);
        let item = format!("{path}[0]");
        self.refuse(&signed(job_with(path, json!([""]))), &item, &["a region's name"]);
        let long = "é".repeat(MAX_REGION_CHARS + 1);
        self.refuse(&signed(job_with(path, json!([long]))), &item, &["has 65 characters", "at most 64"]);
        let unknown =
            verified(signed(job_with(path, json!(["é".repeat(MAX_REGION_CHARS)]))).to_string()).unwrap_err();
        assert!(unknown.to_string().contains("known are us-east (US), eu-west (EU)"), "{unknown}");
    }

    fn models(&self, path: &str) {
        let numbered = |n: usize| (0..n).map(|i| json!(format!("m{i}"))).collect::<Vec<_>>();
        self.size(path, MAX_MODELS, |n| json!(numbered(n)));
        self.refuse(&signed(job_with(path, json!("m"))), path, &["is \"m\"", "an array"]);
        let (item, id) = (format!("{path}[0]"), format!("{path}[0].id"));
        self.name(&item, &item, ModelId::MAX_CHARS);
        self.name(&id, &id, ModelId::MAX_CHARS);
        self.regions(&format!("{item}.regions"));
    }
}

fn texts(both: &Both) {
    both.text("id", JobName::MAX_CHARS);
    both.text("version", MAX_VERSION_CHARS);
    both.text("benchmark.version", MAX_VERSION_CHARS);
    both.text("metadata.nonce", MAX_NONCE_CHARS);
    both.text("benchmark.input.data.prompt", MAX_QUESTION_CHARS);
    both.text("jobspec_id", JobName::MAX_CHARS);
    both.name("benchmark.name", "benchmark.name", MAX_BENCHMARK_CHARS);
    for path in ["id", "jobspec_id"] {
        both.refuse(&signed(job_with(path, json!("a\u{9f}b"))), path, &["without control characters"]);
    }
    let late = format!("2026-01-01T00:00:00Z{}", " ".repeat(MAX_TIMESTAMP_CHARS));
    both.refuse(
        &signed(job_with("metadata.timestamp", json!(late))),
        "metadata.timestamp",
        &["has 84", "at most 64"],
    );
    both.accept(&signed(job_with("metadata.timestamp", json!("2026-01-01T00:00:00.123Z"))));
}

fn numbers(both: &Both) {
    both.whole("runs", MAX_RUNS);
    both.whole("sampling.max_tokens", MAX_TOKENS);
    both.whole("benchmark.input.data.max_tokens", MAX_TOKENS);
    both.whole("sampling.seed", MAX_SEED);
    both.whole("constraints.min_regions", MAX_REGIONS as u64);
    both.whole("constraints.timeout", MAX_TIMEOUT_NS);
    both.whole("constraints.provider_timeout", MAX_TIMEOUT_NS);
    both.number("sampling.temperature", MAX_TEMPERATURE, 0.01);
    both.number("benchmark.input.data.temperature", MAX_TEMPERATURE, 0.01);
    both.number("sampling.top_p", 1.0, 0.01);
    both.number("constraints.min_success_rate", 1.0, 0.01);
    both.number("constraints.max_cost", MAX_COST_USD, 0.01);
}

fn questions(both: &Both) {
    both.size("questions", MAX_QUESTIONS, |n| json!((0..n).map(|i| format!("{i}?")).collect::<Vec<_>>()));
    both.text("questions[0].text", MAX_QUESTION_CHARS);
    both.size("questions[0]", MAX_QUESTION_CHARS, |n| json!("é".repeat(n)));
    both.refuse(&signed(job_with("questions[0]", json!(" "))), "questions[0]", &["is empty"]);
    both.refuse(
        &signed(job_with("questions[0]", json!("not_known"))),
        "questions[0]",
        &["known are math_basic, "],
    );
    both.refuse(&signed(job_with("questions", json!("Why?"))), "questions", &["is \"Why?\"", "an array"]);
    let with_id = |n: usize| json!({ "id": "é".repeat(n), "text": "Why?" });
    both.accept(&signed(job_with("questions[0]", with_id(QuestionId::MAX_CHARS))));
    let long = signed(job_with("questions[0]", with_id(QuestionId::MAX_CHARS + 1)));
    both.refuse(&long, "questions[0].id", &["has 129 characters", "at most 128"]);
    let blank = json!({ "id": "mine", "text": " " });
    both.refuse(&signed(job_with("questions[0]", blank)), "questions[0].text", &["is empty"]);
    for id in ["", "a\nb"] {
        let question = json!({ "id": id, "text": "Why?" });
        both.refuse(&signed(job_with("questions[0]", question)), "questions[0].id", &[]);
    }
}

fn webhooks(both: &Both) {
    let one =
        |url: &str, events: Value| signed(job_with("webhooks", json!([{ "url": url, "events": events }])));
    let numbered = |n: usize| (0..n).map(|i| json!({ "url": format!("http://h/{i}") })).collect::<Vec<_>>();
    both.size("webhooks", MAX_WEBHOOKS, |n| json!(numbered(n)));
    both.size("webhooks[0].url", MAX_URL_CHARS, |n| json!(format!("https://h/{}", "a".repeat(n - 10))));
    for url in ["https://example.com", "http://[::1]:8080/a?b=%20#c", "https://h?b", "https://h/@"] {
        both.accept(&one(url, Value::Null));
    }
    for url in ["", "ftp://h/", "https://", "https:///a", "https://user@h/", "https://h/ b", "https://h/é"] {
        both.refuse(&one(url, Value::Null), "webhooks[0].url", &["an address such as"]);
    }
    both.refuse(&signed(job_with("webhooks", json!([{}]))), "webhooks[0].url", &["is missing"]);
    both.refuse(&signed(job_with("webhooks", json!(["http://h/"]))), "webhooks[0]", &["an object"]);
    let events = |n: usize| one("http://h/", json!(vec!["job.ended"; n]));
    both.accept(&events(MAX_WEBHOOK_EVENTS));
    let found = format!("has {} items", MAX_WEBHOOK_EVENTS + 1);
    both.refuse(&events(MAX_WEBHOOK_EVENTS + 1), "webhooks[0].events", &[&found]);
    let unknown = one("http://h/", json!(["job.begun"]));
    both.refuse(&unknown, "webhooks[0].events[0]", &["one of batch.done, job.ended"]);
    let long = one("http://h/", json!(["e".repeat(MAX_EVENT_CHARS + 1)]));
    both.refuse(&long, "webhooks[0].events[0]", &["has 65 characters"]);
    // What a schema cannot say.
    let twice = signed(job_with("webhooks", json!([{ "url": "http://h/" }, { "url": "http://h/" }])));
    assert!(verified(twice.to_string()).unwrap_err().to_string().contains("is there already"));
}

fn keys(both: &Both) {
    let signed = signed(job());
    for (name, length) in [("signature", 88), ("public_key", 44)] {
        for other in [length - 1, length + 1] {
            let mut changed = signed.clone();
            changed[name] = json!("A".repeat(other));
            both.refuse(&changed, name, &["padded base64"]);
        }
        let mut without = signed.clone();
        without.as_object_mut().unwrap().remove(name);
        both.refuse(&without, name, &["is missing; sign the job"]);
    }
}

// P10
#[test]
fn every_limit_of_the_schema_is_enforced_and_named_and_every_enforced_limit_is_in_the_schema() {
    let both = Both::new();

    both.accept(&signed(job()));
    texts(&both);
    numbers(&both);
    questions(&both);
    both.models("models");
    both.models("metadata.models");
    both.regions("constraints.regions");
    webhooks(&both);
    keys(&both);

    let met = both.met.borrow();
    let limits = schema::limits(&both.schema);
    let unmet: Vec<_> = limits.iter().filter(|limit| !met.contains(*limit)).collect();
    assert!(limits.len() > 60, "{limits:?}");
    assert!(unmet.is_empty(), "limits of the schema that nothing exceeded: {unmet:#?}");
}

// P10
#[test]
fn members_of_another_kind_are_refused_by_both() {
    let both = Both::new();
    for path in ["benchmark", "benchmark.input", "benchmark.input.data", "sampling", "constraints"] {
        for other in [json!([]), json!("x"), json!(1)] {
            both.refuse(&signed(job_with(path, other)), path, &["an object"]);
        }
    }
    both.refuse(&json!([]), "job", &["an array"]);
}

// P10
#[test]
fn a_million_executions_are_accepted_and_one_more_region_is_not() {
    let questions: Vec<_> = (0..MAX_QUESTIONS).map(|i| format!("{i}?")).collect();
    let mut job = job_with("questions", json!(questions));
    job["runs"] = json!(MAX_RUNS);
    assert_eq!(MAX_QUESTIONS as u64 * MAX_RUNS, MAX_EXECUTIONS as u64);

    verified(signed(job.clone()).to_string()).unwrap();
    job["constraints"]["regions"] = json!(["US", "EU"]);
    let error = verified(signed(job).to_string()).unwrap_err().to_string();

    assert!(error.contains("has 2000000 executions, at most 1000000"), "{error}");
}

// P4, P10
#[test]
fn bytes_values_and_levels_are_bounded() {
    let text = signed(job()).to_string();
    let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
    let nested = |levels: usize| {
        serde_json::from_str::<Value>(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)))
    };
    let extra = |value: Value| signed(job_with("extra", value)).to_string();
    // The job, and its member `extra`, are a value each; the others of the base are counted here.
    let others = 2 + 14;

    verified(padded(MAX_SPEC_BYTES)).unwrap();
    assert_eq!(verified(padded(MAX_SPEC_BYTES + 1)), Err(VerifyError::TooLarge(MAX_SPEC_BYTES + 1)));
    verified(extra(nested(MAX_DEPTH - 1).unwrap())).unwrap();
    let error = verified(extra(nested(MAX_DEPTH).unwrap())).unwrap_err().to_string();
    assert!(error.contains("nested deeper than 64 levels"), "{error}");
    verified(extra(json!(vec![0; MAX_JSON_VALUES - others]))).unwrap();
    let error = verified(extra(json!(vec![0; MAX_JSON_VALUES]))).unwrap_err().to_string();
    assert!(error.contains("more than 250000 values"), "{error}");
}

#[test]
fn what_the_schema_calls_ignored_may_be_anything() {
    let both = Both::new();
    let ignored = schema::ignored(&both.schema);
    assert!(ignored.len() > 15, "{ignored:?}");

    for path in ignored {
        for other in [json!(5), json!([null, {}]), Value::Null] {
            both.accept(&signed(job_with(&path.replace("[]", "[0]"), other)));
        }
    }
}

#[test]
fn the_envelopes_are_described_too() {
    let schema = job_schema();
    let check = |name: &str, value: &Value, good: bool| {
        let mut envelope = schema["$defs"][name].clone();
        assert_eq!(
            schema::violations_within(&schema, &mut envelope, value).is_empty(),
            good,
            "{name}: {value}"
        );
        assert_eq!(verified(value.to_string()).is_ok(), good, "{name}: {value}");
    };
    let inner = signed(job());
    let payload = sign_spec(&mut job(), &key(), Profile::Dsse, &SignOptions::default()).unwrap();
    let dsse: Value = serde_json::from_slice(&payload).unwrap();

    check("wrapper", &json!({ "jobspec": inner, "target_regions": ["US"], "min_regions": 1 }), true);
    check("wrapper", &json!({ "jobspec": inner, "target_regions": "US" }), false);
    check("wrapper", &json!({ "jobspec": inner, "min_success_rate": 2 }), false);
    check("wrapper", &json!({ "jobspec": job() }), false);
    check("dsse", &dsse, true);
    let mut other = dsse.clone();
    other["payloadType"] = json!("text/plain");
    check("dsse", &other, false);
    other["payloadType"] = json!(PAYLOAD_TYPE);
    other["signatures"] = json!([]);
    check("dsse", &other, false);
}
