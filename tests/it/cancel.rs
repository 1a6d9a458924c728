//! `beacon cancel` beside a run (S7).

use beacon_tests::{Process, Simulator};

use crate::{SIX_CELLS, example, run};

// S7
#[test]
fn a_cancel_from_another_process_ends_the_run_drops_its_calls_and_tells_real_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let behaviour = "warm = { fixed_s = 30.0 }\nwhen_full = \"reject\"";
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, behaviour);
    let endpoints = simulator.endpoints.display().to_string();
    let job = example("two-questions.signed.json");
    let process = Process::start(folder.path(), &["run", &job, "--endpoints", &endpoints, "--json"]);
    simulator.reaches("in_flight", 6);

    let cancelled = run(folder.path(), &["cancel", "two-questions-example", "--json"]).json();
    let ended = process.wait();
    let again = run(folder.path(), &["cancel", "two-questions-example", "--json"]).json();

    assert_eq!((&cancelled["cancelled_waiting"], &cancelled["cancelled_in_flight"]), (&6.into(), &6.into()));
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert_eq!(
        (&ended.json()["state"], &ended.json()["executions_cancelled"]),
        (&"cancelled".into(), &12.into())
    );
    assert_eq!(again["already_ended"], true);
    assert_eq!(simulator.count("calls"), 6, "nothing was dispatched after the cancel");
}
