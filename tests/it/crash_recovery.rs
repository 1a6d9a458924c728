//! A killed process loses nothing, repeats no call that is known, and the same command goes on (C2, L9).

use std::collections::BTreeMap;

use beacon_domain::{CellView, ExecutionState, JobFilter, JobView as _};
use beacon_store::{OpenMode, SqliteStore};
use beacon_tests::{Process, Simulator};

use crate::{SIX_CELLS, example, run};

/// The cells of the only job in a database that no runner has.
fn cells(database: &std::path::Path) -> Vec<CellView> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(database, OpenMode::Shared).unwrap();
        let job = store.jobs(JobFilter::default()).await.unwrap().items.remove(0).id;
        store.matrix(job).await.unwrap().cells
    })
}

// C2, L1, L8, L9
#[test]
fn a_run_killed_again_and_again_ends_with_every_receipt_and_no_known_call_repeated() {
    let folder = tempfile::tempdir().unwrap();
    // Each call is told a result URL three times before its answer.
    let behaviour = "warm = { fixed_s = 0.7 }\nwindow_s = 0.2\nwhen_full = \"reject\"";
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, behaviour);
    let endpoints = simulator.endpoints.display().to_string();
    let job = example("two-questions.signed.json");
    let command = ["run", &job, "--endpoints", &endpoints, "--batching", "endpoint", "--json"];
    let database = folder.path().join("beacon.db");
    let mut known: BTreeMap<u32, u32> = BTreeMap::new();

    // At the first calls, at the first result URLs, and in the middle of later ones.
    for (count, reached) in [("calls", 3), ("redirects", 4), ("result_url_reads", 9), ("calls", 10)] {
        let process = Process::start(folder.path(), &command);
        simulator.reaches(count, reached);
        process.kill();
        let running = cells(&database);
        let running = running.iter().filter(|cell| cell.state == ExecutionState::Running && cell.resumable);
        known.extend(running.map(|cell| (cell.n, cell.attempts)));
    }
    let ended = run(folder.path(), &command);

    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.json()["executions_completed"], 12);
    let cells = cells(&database);
    assert!(!known.is_empty(), "a kill found calls that were known");
    for (n, attempts) in known {
        assert_eq!(cells[n as usize].attempts, attempts, "execution {n} was called again");
    }
    let attempts: u32 = cells.iter().map(|cell| cell.attempts).sum();
    assert_eq!(u64::from(attempts), simulator.count("calls"), "one POST per attempt");
    let receipts = run(folder.path(), &["receipts", "two-questions-example"]);
    std::fs::write(folder.path().join("receipts.jsonl"), &receipts.stdout).unwrap();
    let verified = run(folder.path(), &["verify", "receipts.jsonl", "--json"]).json();
    assert_eq!((&verified["verdict"], &verified["receipts"]), (&"good".into(), &12.into()));
}
