//! Cancels beside a run: by `beacon cancel`, and over HTTP beside a worker (S7).

use std::fs;

use beacon_testkit::{Cluster, Script, ScriptedEndpoint, Step};
use beacon_tests::{Deployment, EIGHT_CELLS, Process, Simulator, between_looks};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

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

// S7
#[test]
fn a_cancel_over_http_counts_what_the_rows_say_and_the_endpoints_see_their_connections_close() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let hangs = Script::new().then_always(Step::Hang);
    let endpoint = runtime.block_on(ScriptedEndpoint::start(hangs));
    let simulator = Simulator::start(folder.path(), &EIGHT_CELLS, "");
    let deployment = Deployment::new(Cluster::shared(), folder.path(), &simulator.endpoints);
    simulator.lead_through(endpoint.addr());
    let api = deployment.start("beacon-api", &[("BEACON__API__BATCHING", "\"endpoint\"")]);
    // A renewal would come after 100 s: what closes the connections sooner is the hint.
    let _worker = deployment.start("beacon-worker", &[("BEACON__WORKER__LEASE_S", "300")]);
    let questions: Vec<String> = (0..8).map(|n| format!("What is {n}?")).collect();
    let job = json!({
        "id": "cancelled", "version": "v1", "benchmark": { "name": "test" }, "questions": questions,
        "models": ["a", "b", "c", "d"], "constraints": { "regions": ["us-east", "eu-west"] }, "metadata": {},
    });
    fs::write(folder.path().join("job.json"), job.to_string()).unwrap();
    let job = api.submit(&deployment.sign(&folder.path().join("job.json")));
    runtime.block_on(endpoint.wait_for_requests(8));

    let (status, told) = api.ask("POST", &format!("/api/v1/jobs/{job}/cancel"), b"");
    runtime.block_on(endpoint.wait_for_closed(8));
    let sql =
        |what: &str| Cluster::shared().sql(deployment.database(), &format!("SELECT count(*) FROM {what}"));
    // A worker gives a lease back after it has dropped the call.
    while sql("beacon.executions WHERE worker IS NOT NULL") != "0" {
        between_looks();
    }
    let (_, again) = api.ask("POST", &format!("/api/v1/jobs/{job}/cancel"), b"");

    assert_eq!((status, &told["state"]), (200, &Value::from("cancelled")), "{told}");
    assert_eq!((&told["cancelled_waiting"], &told["cancelled_in_flight"]), (&56.into(), &8.into()));
    // A claim gives a token.
    let cancelled = |with: &str| sql(&format!("beacon.executions WHERE state = 'cancelled' AND {with}"));
    assert_eq!((cancelled("token = 0").as_str(), cancelled("token > 0").as_str()), ("56", "8"));
    assert_eq!((&again["already_ended"], &again["executions_cancelled"]), (&true.into(), &0.into()));
    assert_eq!(endpoint.requests().len(), 8, "nothing was dispatched after the cancel");
}
