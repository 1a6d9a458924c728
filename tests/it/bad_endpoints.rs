//! Endpoints that misbehave: every fault ends in a typed error, within its time, and nothing else is lost (C5, C7).

use beacon_tests::Simulator;
use serde_json::Value;

use crate::{SIX_CELLS, example, run};

/// Runs 12 executions over six endpoints whose first calls behave like this; gives the errors of the first attempts.
fn first_errors(behaviour: &str) -> (Value, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("warm = {{ fixed_s = 0.01 }}\nscript = [\"{behaviour}\"]\nretry_after_s = 0.1");
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, &script);
    let endpoints = simulator.endpoints.display().to_string();
    let job = example("two-questions.signed.json");
    let ended = run(folder.path(), &["run", &job, "--endpoints", &endpoints, "--json"]).json();
    let records = run(folder.path(), &["results", "two-questions-example", "--format", "jsonl"]);
    let errors = records.stdout.lines().filter_map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        record["attempts"][0]["error"]["code"].as_str().map(str::to_owned)
    });
    (ended, errors.collect())
}

// C5, C7
#[test]
fn an_endpoint_that_fails_once_is_tried_again_and_the_fault_is_on_record() {
    let cases = [
        ("429", "throttled"),
        ("503", "overloaded"),
        ("500", "endpoint_failed"),
        ("html", "malformed_answer"),
        ("reset", "connection_lost"),
        ("error_in_200", "endpoint_failed"),
        ("wrong_region", "region_mismatch"),
        ("wrong_model", "model_mismatch"),
    ];
    for (behaviour, code) in cases {
        let (ended, errors) = first_errors(behaviour);

        assert_eq!(ended["executions_completed"], 12, "{behaviour}");
        assert_eq!(errors, [code; 6], "{behaviour}");
    }
}

// C5
#[test]
fn empty_text_is_an_answer() {
    let (ended, errors) = first_errors("empty");

    assert_eq!((&ended["executions_completed"], errors.len()), (&12.into(), 0));
}
