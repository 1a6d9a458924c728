//! Ctrl-C and SIGTERM: the first one drains, the second one stops (L3).

use beacon_tests::{Process, Simulator};

use crate::{SIX_CELLS, example, run};

const SLOW: &str = "warm = { fixed_s = 1.0 }\nwhen_full = \"reject\"";

// L3, L9
#[test]
fn a_signal_lets_calls_in_flight_end_and_the_same_command_goes_on_without_repeating_one() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(folder.path(), &SIX_CELLS, SLOW);
        let endpoints = simulator.endpoints.display().to_string();
        let job = example("two-questions.signed.json");
        let command = ["run", &job, "--endpoints", &endpoints, "--json"];
        let process = Process::start(folder.path(), &command);
        simulator.reaches("in_flight", 6);

        process.signal(signal);
        let drained = process.wait();
        let ended = run(folder.path(), &command);

        assert_eq!(drained.code, Some(4), "{signal}: {}", drained.stderr);
        assert!(drained.stderr.contains("stopping"), "{}", drained.stderr);
        assert_eq!(drained.json()["executions_completed"], 6, "the calls in flight were recorded");
        assert_eq!((ended.code, &ended.json()["executions_completed"]), (Some(0), &12.into()));
        assert_eq!(simulator.count("calls"), 12);
    }
}

// L3
#[test]
fn a_second_signal_drops_the_calls_and_they_count_no_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let behaviour = "warm = { fixed_s = 1.5 }\ncold_s = 60\nscript = [\"pending\"]\nwindow_s = 100.0";
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, behaviour);
    let endpoints = simulator.endpoints.display().to_string();
    let job = example("two-questions.signed.json");
    let command = ["run", &job, "--endpoints", &endpoints];
    let process = Process::start(folder.path(), &command);
    simulator.reaches("result_url_reads", 6);

    process.signal("INT");
    process.signal("INT");
    let stopped = process.wait();

    assert_eq!(stopped.code, Some(4), "{}", stopped.stderr);
    let shown = run(folder.path(), &["results", "two-questions-example", "--format", "jsonl"]);
    for line in shown.stdout.lines().take(6) {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&record["cell"]["state"], &record["cell"]["resumable"]),
            (&"queued".into(), &true.into())
        );
        assert_eq!(record["attempts"].as_array().unwrap().len(), 0);
    }
}
