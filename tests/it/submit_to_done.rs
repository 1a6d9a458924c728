//! A job from its file to its receipts, and what a person meets when something is wrong.

use std::{path::Path, process::Output};

use beacon_tests::{beacon, root};
use serde_json::Value;

fn run(folder: &Path, args: &[&str]) -> Output {
    beacon().args(args).current_dir(folder).output().unwrap()
}

fn example(name: &str) -> String {
    root().join("examples").join(name).display().to_string()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

// L1, L8, P11
#[test]
fn a_job_runs_to_its_end_and_its_receipts_verify_and_the_same_command_shows_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let job = example("three-models.signed.json");

    let first = run(folder.path(), &["run", &job, "--json"]);
    let again = run(folder.path(), &["run", &job, "--json"]);
    let receipts = run(folder.path(), &["receipts", "three-models-example"]);
    std::fs::write(folder.path().join("receipts.jsonl"), &receipts.stdout).unwrap();
    let verified = run(folder.path(), &["verify", "receipts.jsonl", "--json"]);

    let summary: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(summary["executions_completed"], 9, "{}", stderr(&first));
    assert_eq!(again.stdout, first.stdout, "a finished job shows its result");
    let verdict: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&verdict["verdict"], &verdict["receipts"]), (&"good".into(), &9.into()));
}

#[test]
fn a_changed_job_is_refused_with_its_reason_and_leaves_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(example("two-questions.signed.json")).unwrap();
    std::fs::write(folder.path().join("job.json"), text.replace("identity_basic", "math_basic")).unwrap();

    let output = run(folder.path(), &["run", "job.json", "--keys", &example("keys.json")]);

    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the signature does not hold"), "{}", stderr(&output));
    assert!(!folder.path().join("beacon.db").exists());
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
        (String::new(), "empty"),
    ];
    for (text, reason) in cases {
        std::fs::write(folder.path().join("job.json"), text).unwrap();

        let output = run(folder.path(), &["run", "job.json", "--keys", &example("keys.json")]);

        assert_eq!(output.status.code(), Some(2), "{reason}");
        assert!(stderr(&output).contains(reason), "{reason}: {}", stderr(&output));
    }
}

#[test]
fn every_endpoints_file_of_the_examples_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["simulator", "modal", "ollama", "openai"] {
        let endpoints = example(&format!("endpoints/{file}.toml"));
        let job = example("three-models.signed.json");

        let output = run(folder.path(), &["plan", &job, "--endpoints", &endpoints, "--accept-unsupported"]);

        assert_eq!(output.status.code(), Some(0), "{file}: {}", stderr(&output));
    }
}

#[test]
fn a_file_that_is_no_database_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");
    std::fs::write(&path, "precious notes, not a database at all".repeat(100)).unwrap();
    let before = std::fs::read(&path).unwrap();

    let output = run(folder.path(), &["run", &example("three-models.signed.json")]);

    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
