//! A job from its file to its receipts.

use crate::{example, run};

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

    assert_eq!(first.json()["executions_completed"], 9, "{}", first.stderr);
    assert_eq!(again.stdout, first.stdout, "a finished job shows its result");
    let verdict = verified.json();
    assert_eq!((&verdict["verdict"], &verdict["receipts"]), (&"good".into(), &9.into()));
}

// P11
#[test]
fn fresh_runs_a_finished_job_anew_and_keeps_the_first_result() {
    let folder = tempfile::tempdir().unwrap();
    let job = example("two-questions.signed.json");

    let first = run(folder.path(), &["run", &job, "--json"]).json();
    let fresh = run(folder.path(), &["run", &job, "--json", "--fresh"]).json();
    let jobs = run(folder.path(), &["jobs", "--json"]);

    assert_ne!(first["job_id"], fresh["job_id"]);
    assert_eq!(fresh["executions_completed"], 12);
    assert_eq!(jobs.stdout.lines().count(), 2);
}

// L8
#[test]
fn a_changed_receipt_a_missing_one_and_a_cut_export_are_found() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["run", &example("two-questions.signed.json")]);
    let receipts = run(folder.path(), &["receipts", "two-questions-example"]).stdout;
    let lines: Vec<&str> = receipts.lines().collect();
    let check = |text: String, expected: &str| {
        std::fs::write(folder.path().join("receipts.jsonl"), text).unwrap();
        let verified = run(folder.path(), &["verify", "receipts.jsonl", "--json"]);
        assert_eq!(verified.code, Some(2), "{expected}");
        assert!(verified.json()["problems"].to_string().contains(expected), "{}", verified.stdout);
    };

    check(receipts.replacen("\"run\":1", "\"run\":2", 1), "line 1");
    check(lines[1..].join("\n"), "the close does not cover exactly these receipts");
    check(lines[..12].join("\n"), "no close");
    let swapped = [&[lines[1], lines[0]], &lines[2..]].concat();
    check(swapped.join("\n"), "the close does not cover exactly these receipts");
}

#[test]
fn results_come_as_a_table_as_json_lines_and_as_csv() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["run", &example("two-questions.signed.json")]);
    let results =
        |format: &str| run(folder.path(), &["results", "two-questions-example", "--format", format]);

    let (table, jsonl, csv) = (results("table"), results("jsonl"), results("csv"));

    assert_eq!(table.stdout.lines().filter(|line| line.contains("[simulated]")).count(), 12);
    for line in jsonl.stdout.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(record["answer"]["text"].as_str().unwrap().starts_with("[simulated]"));
    }
    assert_eq!((jsonl.stdout.lines().count(), csv.stdout.lines().count()), (12, 13));
}
