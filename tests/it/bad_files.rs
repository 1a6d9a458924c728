//! Jobs, rings and endpoint files that cannot be used: a reason, what to do, exit code 2, and no database (P4, P9, P10).

use std::path::Path;

use beacon_tests::Finished;
use serde_json::{Value, json};

use crate::{example, run};

fn two_questions() -> Value {
    serde_json::from_str(&std::fs::read_to_string(example("unsigned/two-questions.json")).unwrap()).unwrap()
}

/// Signs this job with the example key and runs it.
fn sign_and_run(folder: &Path, job: &Value, more: &[&str]) -> Finished {
    std::fs::write(folder.join("unsigned.json"), job.to_string()).unwrap();
    let key = example("EXAMPLE-ONLY.key");
    let signed = run(folder, &["sign", "unsigned.json", "--key", &key, "--out", "job.json"]);
    if signed.code != Some(0) {
        return signed;
    }
    let ring = example("keys.json");
    run(folder, &[&["run", "job.json", "--keys", &ring], more].concat())
}

fn refused(finished: &Finished, reason: &str, folder: &Path) {
    assert_eq!(finished.code, Some(2), "{reason}: {}", finished.stderr);
    assert!(finished.stderr.contains(reason), "{reason}: {}", finished.stderr);
    assert!(!folder.join("beacon.db").exists(), "{reason}: nothing is left behind");
}

// P4
#[test]
fn hostile_files_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let cases = [
        (r#"{"a":1,"a":2}"#.to_owned(), "duplicate key"),
        (deep, "nested deeper"),
        (" ".repeat(50_000_000), "at most 16777216"),
        ("{}".to_owned(), "public_key is missing"),
        ("not json".to_owned(), "line 1"),
        (String::new(), "empty"),
    ];
    for (text, reason) in cases {
        std::fs::write(folder.path().join("job.json"), text).unwrap();

        let finished = run(folder.path(), &["run", "job.json", "--keys", &example("keys.json")]);

        refused(&finished, reason, folder.path());
    }
}

// P3, P5
#[test]
fn a_changed_job_and_an_untrusted_key_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(example("two-questions.signed.json")).unwrap();
    std::fs::write(folder.path().join("job.json"), text.replace("identity_basic", "math_basic")).unwrap();
    let changed = run(folder.path(), &["run", "job.json", "--keys", &example("keys.json")]);
    refused(&changed, "the signature does not hold", folder.path());

    run(folder.path(), &["keygen", "--out", "other.key", "--kid", "other"]);
    std::fs::write(folder.path().join("unsigned.json"), two_questions().to_string()).unwrap();
    run(folder.path(), &["sign", "unsigned.json", "--key", "other.key", "--out", "job.json"]);
    let unknown = run(folder.path(), &["run", "job.json", "--keys", &example("keys.json")]);
    refused(&unknown, "key", folder.path());
    let no_ring = run(folder.path(), &["run", "job.json"]);
    refused(&no_ring, "--keys", folder.path());
}

// P9, P10
#[test]
fn a_job_that_cannot_run_is_refused_with_the_field_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("/constraints/regions/0", json!("MARS"), "us-east"),
        ("/questions", json!([]), "questions"),
        ("/questions/0", json!("no_such_question"), "no_such_question"),
        ("/questions", json!([{"id": "q", "text": "a"}, {"id": "q", "text": "b"}]), "questions[1]"),
        ("/constraints/timeout", json!(1_000_000_000), "timeout"),
        ("/constraints/provider_timeout", json!(9_000_000_000_000_u64), "provider_timeout"),
    ];
    for (pointer, value, reason) in cases {
        let mut job = two_questions();
        *job.pointer_mut(pointer).unwrap() = value;

        let finished = sign_and_run(folder.path(), &job, &[]);

        assert_eq!(finished.code, Some(2), "{pointer}: {}", finished.stderr);
        assert!(finished.stderr.contains(reason), "{pointer}: {}", finished.stderr);
    }
}

// P9
#[test]
fn a_model_that_no_endpoint_serves_is_refused_by_name_and_accepted_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let endpoints = example("endpoints/ollama.toml");
    let ring = example("keys.json");

    let job = example("two-questions.signed.json");
    let plan = ["plan", &job, "--keys", &ring, "--endpoints", &endpoints];
    let refused = run(folder.path(), &plan);
    let accepted = run(folder.path(), &[&plan[..], &["--accept-unsupported", "--json"]].concat());

    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("mistral-7b in us-east"), "{}", refused.stderr);
    assert_eq!(accepted.json()["unsupported"], 10);
}

// C4, O2
#[test]
fn endpoints_files_that_cannot_be_used_name_the_file_and_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let job = example("two-questions.signed.json");
    let good = std::fs::read_to_string(example("endpoints/ollama.toml")).unwrap();
    let cases = [
        ("missing.toml", None, "missing.toml"),
        ("broken.toml", Some("[[endpoint]\n".to_owned()), "broken.toml"),
        ("unknown.toml", Some(format!("{good}surprise = 1\n")), "surprise"),
        (
            "url.toml",
            Some(good.replace("http://127.0.0.1:11434/v1/chat/completions", "localhost")),
            "inference_url",
        ),
        (
            "env.toml",
            Some(format!("{good}auth = {{ bearer_env = \"BEACON_TEST_UNSET\" }}\n")),
            "BEACON_TEST_UNSET",
        ),
        ("twice.toml", Some(format!("{good}{good}")), "eu-west/llama3.2-1b"),
    ];
    for (name, text, reason) in cases {
        if let Some(text) = text {
            std::fs::write(folder.path().join(name), text).unwrap();
        }

        let finished = run(folder.path(), &["run", &job, "--endpoints", name, "--accept-unsupported"]);

        assert_eq!(finished.code, Some(2), "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(reason), "{name}: {}", finished.stderr);
    }
}

// P11
#[test]
fn another_job_under_the_same_id_is_a_conflict_and_the_first_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = two_questions();
    assert_eq!(sign_and_run(folder.path(), &job, &[]).code, Some(0));
    job["questions"] = json!(["math_basic"]);

    let other = sign_and_run(folder.path(), &job, &[]);
    let shown = run(folder.path(), &["show", "two-questions-example", "--json"]).json();

    assert_eq!(other.code, Some(2));
    assert!(other.stderr.contains("exists with other bytes"), "{}", other.stderr);
    assert_eq!(shown["job"]["counts"]["completed"], 12);
}

#[test]
fn every_endpoints_file_of_the_examples_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["simulator", "modal", "ollama", "openai"] {
        let endpoints = example(&format!("endpoints/{file}.toml"));
        let job = example("three-models.signed.json");

        let planned = run(folder.path(), &["plan", &job, "--endpoints", &endpoints, "--accept-unsupported"]);

        assert_eq!(planned.code, Some(0), "{file}: {}", planned.stderr);
    }
}

#[test]
fn receipts_are_not_held_against_a_key_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("receipts.jsonl"), r#"{"schema":"beacon-receipt/1"}"#).unwrap();

    let finished = run(folder.path(), &["verify", "receipts.jsonl", "--runner-key", ""]);

    refused(
        &finished,
        "--runner-key \"\" must be 32 bytes in padded base64; `beacon runner-key` prints",
        folder.path(),
    );
}
