//! A job that goes on under other circumstances than it began.

use std::{fs, path::Path};

use beacon_tests::{Process, Simulator};

use crate::{SIX_CELLS, example, run};

const SLOW: &str = "warm = { fixed_s = 1.0 }";

/// A run that was asked to stop with six of its executions done.
fn stopped(folder: &Path) -> Simulator {
    let simulator = Simulator::start(folder, &SIX_CELLS, SLOW);
    let endpoints = simulator.endpoints.display().to_string();
    let process =
        Process::start(folder, &["run", &example("two-questions.signed.json"), "--endpoints", &endpoints]);
    simulator.reaches("in_flight", 6);
    process.signal("INT");
    assert_eq!(process.wait().code, Some(4));
    simulator
}

// L1: the plan is frozen with its endpoints.
#[test]
fn a_resume_without_the_planned_endpoints_is_refused_and_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = stopped(folder.path());
    let job = example("two-questions.signed.json");
    let text = fs::read_to_string(&simulator.endpoints).unwrap();
    let other = folder.path().join("other.toml").display().to_string();
    fs::write(
        &other,
        text.replacen("model = \"mistral-7b\"", "id = \"elsewhere\"\nmodel = \"mistral-7b\"", 1),
    )
    .unwrap();

    let refused = run(folder.path(), &["run", &job, "--endpoints", &other]);
    let simulated = run(folder.path(), &["run", &job]);
    let shown = run(folder.path(), &["show", "two-questions-example"]);

    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("us-east/mistral-7b (mistral-7b in us-east)"), "{}", refused.stderr);
    assert_eq!(simulated.code, Some(2), "simulated answers never complete a job of real endpoints");
    assert!(shown.stdout.contains("wait for a worker that serves us-east/mistral-7b"), "{}", shown.stdout);
    assert_eq!(simulator.count("calls"), 6);
}

#[test]
fn a_resume_says_that_the_plan_keeps_its_batching() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = stopped(folder.path());
    let endpoints = simulator.endpoints.display().to_string();
    let job = example("two-questions.signed.json");

    let resumed = run(folder.path(), &["run", &job, "--endpoints", &endpoints, "--batching", "endpoint"]);

    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    assert!(resumed.stderr.contains("keeps the --batching question"), "{}", resumed.stderr);
}

// U1
#[test]
fn a_run_with_failures_says_why_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let script = "warm = { fixed_s = 0.01 }\nscript = [\"401\", \"401\"]";
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, script);
    let endpoints = simulator.endpoints.display().to_string();

    let job = example("two-questions.signed.json");
    let ended = run(folder.path(), &["run", &job, "--endpoints", &endpoints]);
    let shown = run(folder.path(), &["show", "two-questions-example", "--json"]);

    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stdout.contains("2 failed on eu-west/llama3.2-1b: unauthorized"), "{}", ended.stdout);
    assert_eq!(shown.json()["failures"][0]["executions"], 2);
}
