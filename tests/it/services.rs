//! The services as processes on a private PostgreSQL: submit, work, stop, die, and what is left.

use std::path::Path;

use beacon_testkit::Cluster;
use beacon_tests::{Deployment, Service, Simulator, between_looks, root};
use serde_json::Value;

use crate::SIX_CELLS;

/// A deployment over six simulated endpoints that behave like this.
fn deployment(folder: &Path, behaviour: &str) -> (Simulator, Deployment) {
    let simulator = Simulator::start(folder, &SIX_CELLS, behaviour);
    let deployment = Deployment::new(Cluster::shared(), folder, &simulator.endpoints);
    (simulator, deployment)
}

fn unsigned() -> std::path::PathBuf {
    root().join("examples/unsigned/two-questions.json")
}

/// All receipts hold, there is one for each execution, and the close counts them (L8).
pub(crate) fn check_receipts(deployment: &Deployment, folder: &Path, job: &str, executions: usize) {
    let receipts = deployment.beacon(&["receipts", job]);
    assert_eq!(receipts.stdout.lines().count(), executions + 1, "{}", receipts.stderr);
    std::fs::write(folder.join("receipts.jsonl"), &receipts.stdout).unwrap();
    let ring: Value = serde_json::from_slice(&std::fs::read(folder.join("runner.json")).unwrap()).unwrap();
    let key = ring[0]["public_key"].as_str().unwrap();
    let verified =
        deployment.beacon(&["verify", "receipts.jsonl", "--job", "s.json", "--runner-key", key, "--json"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn a_job_submitted_over_http_is_run_by_workers_and_its_receipts_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (simulator, deployment) =
        deployment(folder.path(), "warm = { fixed_s = 0.05 }\nwhen_full = \"reject\"");
    let api = deployment.start("beacon-api", &[]);
    let _workers: Vec<Service> = (0..2).map(|_| deployment.start("beacon-worker", &[])).collect();

    let job = api.submit(&deployment.sign(&unsigned()));
    let ended = api.ended(&job);

    assert_eq!(
        (&ended["state"], &ended["counts"]["completed"]),
        (&"completed".into(), &12.into()),
        "{ended}"
    );
    // S1: two workers, one limit.
    assert_eq!((simulator.count("calls"), simulator.count("rejected")), (12, 0));
    check_receipts(&deployment, folder.path(), &job, 12);
}

// L3, L9, C2
#[test]
fn a_worker_that_is_killed_costs_no_second_post_of_a_call_whose_result_url_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let behaviour = "warm = { fixed_s = 4.0 }\nwindow_s = 1.0";
    let (simulator, deployment) = deployment(folder.path(), behaviour);
    let api = deployment.start("beacon-api", &[]);
    let short = [("BEACON__WORKER__LEASE_S", "2")];
    let first = deployment.start("beacon-worker", &short);
    let job = api.submit(&deployment.sign(&unsigned()));
    simulator.reaches("result_url_reads", 6);

    first.process.kill();
    let _second = deployment.start("beacon-worker", &short);
    let ended = api.ended(&job);

    assert_eq!(ended["counts"]["completed"], 12, "{ended}");
    assert_eq!(simulator.count("calls"), 12, "every call was re-attached to");
    check_receipts(&deployment, folder.path(), &job, 12);
}

// L3: what can be found again is left alone at once; the process ends before its calls do.
#[test]
fn sigterm_leaves_calls_that_can_be_found_again_to_the_next_worker() {
    let folder = tempfile::tempdir().unwrap();
    let behaviour = "warm = { fixed_s = 4.0 }\nwindow_s = 1.0";
    let (simulator, deployment) = deployment(folder.path(), behaviour);
    let api = deployment.start("beacon-api", &[]);
    let mut first = deployment.start("beacon-worker", &[]);
    let job = api.submit(&deployment.sign(&unsigned()));
    simulator.reaches("result_url_reads", 6);

    first.process.signal("TERM");
    let code = first.process.ends();
    let (_, waiting) = api.ask("GET", &format!("/api/v1/jobs/{job}"), b"");
    let _second = deployment.start("beacon-worker", &[]);
    let ended = api.ended(&job);

    assert_eq!(code, Some(0));
    assert_eq!(waiting["job"]["counts"]["running"], 0, "its leases went back at once: {waiting}");
    assert_eq!((&ended["counts"]["completed"], simulator.count("calls")), (&12.into(), 12), "{ended}");
}

// L3: a stale worker writes nothing, and its calls are dropped.
#[test]
fn a_worker_that_slept_longer_than_its_lease_writes_nothing_when_it_wakes() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), "warm = { fixed_s = 1.0 }\ncapacity = 8");
    let api = deployment.start("beacon-api", &[]);
    let short = [("BEACON__WORKER__LEASE_S", "1")];
    let sleeper = deployment.start("beacon-worker", &short);
    let job = api.submit(&deployment.sign(&unsigned()));
    while api.ask("GET", &format!("/api/v1/jobs/{job}"), b"").1["job"]["counts"]["running"] != 6 {
        between_looks();
    }

    sleeper.process.signal("STOP");
    let _second = deployment.start("beacon-worker", &short);
    let ended = api.ended(&job);
    sleeper.process.signal("CONT");
    let mut sleeper = sleeper;
    sleeper.process.signal("TERM");
    let code = sleeper.process.ends();
    let (_, after) = api.ask("GET", &format!("/api/v1/jobs/{job}"), b"");

    assert_eq!((&ended["counts"]["completed"], code), (&12.into(), Some(0)), "{ended}");
    assert_eq!(after["job"]["counts"], ended["counts"], "terminal states never change");
    check_receipts(&deployment, folder.path(), &job, 12);
}

// L9
#[test]
fn a_crash_of_the_database_in_the_middle_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, "warm = { fixed_s = 0.3 }");
    let cluster = Cluster::start(beacon_testkit::Sync::On).unwrap();
    let deployment = Deployment::new(&cluster, folder.path(), &simulator.endpoints);
    let api = deployment.start("beacon-api", &[]);
    let _worker = deployment.start("beacon-worker", &[("BEACON__WORKER__LEASE_S", "2")]);
    let job = api.submit(&deployment.sign(&unsigned()));
    simulator.reaches("in_flight", 6);

    cluster.crash();
    let (status, refused) = api.ask("GET", "/ready", b"");
    cluster.start_again();
    let ended = api.ended(&job);

    assert_eq!((status, &refused["error"]["code"]), (503, &"store_unavailable".into()), "A6, A2");
    assert_eq!(ended["counts"]["completed"], 12, "{ended}");
    check_receipts(&deployment, folder.path(), &job, 12);
}

// S7
#[test]
fn a_cancel_over_http_ends_the_calls_of_a_worker_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let (simulator, deployment) = deployment(folder.path(), "warm = { fixed_s = 3000.0 }");
    let api = deployment.start("beacon-api", &[]);
    let mut worker = deployment.start("beacon-worker", &[("BEACON__WORKER__GRACE_S", "3000")]);
    let job = api.submit(&deployment.sign(&unsigned()));
    simulator.reaches("in_flight", 6);

    let (status, cancelled) = api.ask("POST", &format!("/api/v1/jobs/{job}/cancel"), b"");
    // It would wait for its calls, if it had any left.
    worker.process.signal("TERM");
    let code = worker.process.ends();

    assert_eq!(code, Some(0));
    assert_eq!(status, 200, "{cancelled}");
    assert_eq!(
        (&cancelled["cancelled_in_flight"], &cancelled["cancelled_waiting"], &cancelled["state"]),
        (&6.into(), &6.into(), &"cancelled".into())
    );
}

#[test]
fn a_job_is_shown_with_its_own_calls_in_flight_and_not_with_those_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let (simulator, deployment) = deployment(folder.path(), "warm = { fixed_s = 3000.0 }");
    let api = deployment.start("beacon-api", &[]);
    let _worker = deployment.start("beacon-worker", &[]);
    let busy = api.submit(&deployment.sign(&unsigned()));
    simulator.reaches("in_flight", 6);
    let other = std::fs::read_to_string(unsigned()).unwrap().replace("two-questions-example", "other");
    std::fs::write(folder.path().join("other.json"), other).unwrap();
    let cancelled = api.submit(&deployment.sign(&folder.path().join("other.json")));
    let _ = api.ask("POST", &format!("/api/v1/jobs/{cancelled}/cancel"), b"");

    let calls = |job: &str| {
        let shown = deployment.beacon(&["show", job]).stdout;
        (shown.matches(", 1 in flight").count(), shown.matches(", 0 in flight").count())
    };

    assert_eq!((calls(&busy), calls(&cancelled)), ((6, 0), (0, 6)));
}

// A6, O1, O2: nothing starts half-configured, and each refusal says what to do.
#[test]
fn a_service_that_lacks_something_refuses_to_start_and_says_what() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), "");
    std::fs::copy(root().join("examples/keys.json"), folder.path().join("example-ring.json")).unwrap();
    std::fs::write(folder.path().join("empty-ring.json"), "[]").unwrap();
    let empty = Cluster::shared().url(&Cluster::shared().database(None));

    for (program, setting, value, message) in [
        ("beacon-worker", "BEACON__DATABASE__URL", "", "database.url"),
        ("beacon-worker", "BEACON__DATABASE__URL", empty.as_str(), "run `beacon-migrate up`"),
        ("beacon-worker", "BEACON__WORKER__RUNNER_KEY", "none.key", "beacon keygen"),
        ("beacon-worker", "BEACON__WORKER__SERVES", "[\"x\"]", "lacks: x"),
        ("beacon-worker", "BEACON__WORKER__SLOTS", "0", "worker.slots"),
        ("beacon-worker", "BEACON__ENDPOINTS", "none.toml", "none.toml"),
        ("beacon-api", "BEACON__API__KEYS", "example-ring.json", "example key"),
        ("beacon-api", "BEACON__API__KEYS", "empty-ring.json", "the ring is empty"),
        ("beacon-worker", "BEACON__WORKER__SLOTS", "0", "the variable BEACON__WORKER__SLOTS"),
        ("beacon-worker", "BEACON__DATABASE__URL", "mysql://db/beacon", "Beacon needs PostgreSQL"),
        ("beacon-api", "BEACON__API__KEYS", "none.json", "none.json"),
        ("beacon-api", "BEACON__API__OPERATOR_TOKEN", "short", "32 characters"),
        ("beacon-api", "BEACON__API__LISTN", "x", "BEACON__API__LISTN"),
        ("beacon-api", "BEACON__WEBHOOKS__SECRET", "hush", "the variable BEACON__WEBHOOKS__SECRET"),
        ("beacon-worker", "BEACON__WEBHOOKS__SECRET", "whsec_hush", "openssl rand -base64 32"),
        ("beacon-worker", "BEACON__WEBHOOKS__ALLOW", "[\"10.0.0.0/99\"]", "BEACON__WEBHOOKS__ALLOW"),
        ("beacon-worker", "BEACON__WEBHOOKS__TIMEOUT_S", "0", "webhooks.timeout_s"),
    ] {
        let refused = deployment.run(program, &[], &[(setting, value)]);
        assert_eq!(refused.code, Some(2), "{setting}={value}: {}", refused.stderr);
        assert!(refused.stderr.contains(message), "{setting}={value}: {}", refused.stderr);
    }
}

#[test]
fn every_service_prints_its_configuration_by_the_same_option() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), "");

    for program in ["beacon-api", "beacon-worker", "beacon-migrate"] {
        let printed = deployment.run(program, &["--print-config"], &[]);
        assert_eq!(printed.code, Some(0), "{program}: {}", printed.stderr);
        assert!(
            printed.stdout.contains("[database]") && printed.stdout.contains("user=postgres"),
            "{program}"
        );
    }
    let nothing = deployment.run("beacon-migrate", &[], &[]);
    assert_eq!(nothing.code, Some(2), "{}", nothing.stdout);
    assert!(nothing.stderr.contains("up, down, status, verify or prune"), "{}", nothing.stderr);
}

// A6: it stays ready, because the other endpoints are served; what it cannot reach costs no execution its attempts.
#[test]
fn a_worker_that_reaches_no_endpoint_fails_nothing_and_says_which_are_away() {
    let folder = tempfile::tempdir().unwrap();
    let (simulator, deployment) = deployment(folder.path(), "warm = { fixed_s = 0.05 }");
    let right = std::fs::read_to_string(&simulator.endpoints).unwrap();
    let wrong = right.replace(&simulator.addr().to_string(), "127.0.0.1:1");
    std::fs::write(folder.path().join("wrong.toml"), wrong).unwrap();
    let api = deployment.start("beacon-api", &[("BEACON__API__BATCHING", "endpoint")]);
    let blind = deployment.start("beacon-worker", &[("BEACON__ENDPOINTS", "wrong.toml")]);

    let job = api.submit(&deployment.sign(&unsigned()));
    let failing = loop {
        let (status, ready) = blind.ask("GET", "/ready", b"");
        assert_eq!((status, &ready["status"]), (200, &"ready".into()), "{ready}");
        let failing = ready["failing_endpoints"].as_array().unwrap().clone();
        if failing.len() == SIX_CELLS.len() {
            break failing;
        }
        between_looks();
    };
    let (_, waiting) = api.ask("GET", &format!("/api/v1/jobs/{job}"), b"");
    let _seeing = deployment.start("beacon-worker", &[]);
    let ended = api.ended(&job);

    assert_eq!(failing[0]["error"], "connect_refused", "{failing:?}");
    assert_eq!(waiting["job"]["counts"]["failed"], 0, "{waiting}");
    assert_eq!(
        blind.log().matches("keeps failing").count(),
        SIX_CELLS.len(),
        "once for each: {}",
        blind.log()
    );
    assert_eq!(ended["counts"]["completed"], 12, "{ended}");
}

// A6: readiness says what is missing.
#[test]
fn a_service_whose_schema_was_taken_away_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), "");
    let services = ["beacon-api", "beacon-worker"].map(|program| deployment.start(program, &[]));

    let down = deployment.run("beacon-migrate", &["down", "99"], &[]);
    let answers = services.map(|service| service.ask("GET", "/ready", b""));

    assert_eq!(down.code, Some(0), "{}", down.stderr);
    for (status, answer) in &answers {
        assert_eq!(*status, 503, "{answer}");
        assert!(answer.to_string().contains("run `beacon-migrate up`"), "{answer}");
    }
    assert_eq!(answers[0].1["error"]["code"], "schema_missing");
}

// A6: exit code 2 says that something must be changed; a database that is away comes back by itself.
#[test]
fn a_service_waits_for_a_database_that_is_away_and_then_asks_to_be_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), "");
    let away = [
        ("BEACON__DATABASE__URL", "postgres://beacon@127.0.0.1:1/beacon"),
        ("BEACON__DATABASE__PATIENCE_S", "0.5"),
    ];

    for program in ["beacon-api", "beacon-worker"] {
        let ended = deployment.run(program, &[], &away);
        assert_eq!(ended.code, Some(1), "{program}: {}", ended.stderr);
        assert!(ended.stderr.contains("trying again"), "{program}: {}", ended.stderr);
        assert!(ended.stderr.contains("start the server, or correct its address"), "{}", ended.stderr);
    }
}

#[test]
fn the_command_line_makes_nothing_up_on_a_shared_database() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), "");
    std::fs::write(folder.path().join("job.json"), deployment.sign(&unsigned())).unwrap();

    let no_endpoints = deployment.beacon(&["run", "job.json", "--runner-key", "runner.key"]);
    let no_key = deployment.beacon(&["run", "job.json", "--endpoints", "endpoints.toml"]);

    assert_eq!((no_endpoints.code, no_key.code), (Some(2), Some(2)));
    assert!(no_endpoints.stderr.contains("add --endpoints FILE"), "{}", no_endpoints.stderr);
    assert!(no_key.stderr.contains("--runner-key FILE"), "{}", no_key.stderr);
    assert!(deployment.beacon(&["jobs"]).stdout.contains("no jobs"));
}

#[test]
fn migrations_go_up_and_down_and_up_and_old_jobs_can_be_written_out_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), "warm = { fixed_s = 0.01 }\ncapacity = 8");
    let job = deployment.sign(&unsigned());
    let endpoints = folder.path().join("endpoints.toml").display().to_string();
    std::fs::write(folder.path().join("job.json"), job).unwrap();
    let run = deployment.beacon(&[
        "run",
        "job.json",
        "--endpoints",
        &endpoints,
        "--runner-key",
        "runner.key",
        "--json",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let id = run.json()["job_id"].as_str().unwrap().to_owned();

    let refused = deployment.run("beacon-migrate", &["down", "1"], &[]);
    let kept = deployment.run("beacon-migrate", &["prune", "--older-than-days", "1"], &[]);
    let unsure = deployment.run("beacon-migrate", &["prune", "--older-than-days", "0"], &[]);
    let pruned = deployment.run(
        "beacon-migrate",
        &["prune", "--older-than-days", "0", "--yes", "--export", "old", "--json"],
        &[],
    );
    let jobs = deployment.beacon(&["jobs"]);
    let down = deployment.run("beacon-migrate", &["down", "1", "--with-jobs"], &[]);
    let pending = deployment.run("beacon-migrate", &["verify"], &[]);
    let up = deployment.run("beacon-migrate", &["up", "--json"], &[]);
    let fits = deployment.run("beacon-migrate", &["verify"], &[]);

    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(refused.stderr.contains("there are 1 jobs") && refused.stderr.contains("--with-jobs"));
    assert!(kept.stdout.contains("removed 0 of 0"), "{}{}", kept.stdout, kept.stderr);
    assert_eq!(unsure.code, Some(2), "{}", unsure.stdout);
    assert!(unsure.stderr.contains("every job that has ended, 1 now") && unsure.stderr.contains("--yes"));
    assert_eq!(pruned.json()["removed"], 1, "{}", pruned.stderr);
    assert!(jobs.stdout.contains("no jobs"), "{}", jobs.stdout);
    let receipts = std::fs::read_to_string(folder.path().join(format!("old/{id}.receipts.jsonl"))).unwrap();
    let results = std::fs::read_to_string(folder.path().join(format!("old/{id}.results.jsonl"))).unwrap();
    assert_eq!((receipts.lines().count(), results.lines().count()), (13, 12));
    let signed = std::fs::read(folder.path().join(format!("old/{id}.signed.json"))).unwrap();
    assert_eq!(signed, std::fs::read(folder.path().join("job.json")).unwrap(), "the bytes as they arrived");
    let (receipts, signed) = (format!("old/{id}.receipts.jsonl"), format!("old/{id}.signed.json"));
    let verified = deployment.beacon(&["verify", &receipts, "--job", &signed, "--json"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    assert_eq!((down.code, pending.code, up.code, fits.code), (Some(0), Some(2), Some(0), Some(0)));
    assert!(pending.stderr.contains("is not applied"), "{}", pending.stderr);
}

// O1: a rolling upgrade. The schema is the next version's while programs of this one still run, and start.
#[test]
fn programs_of_this_version_go_on_and_start_on_the_schema_of_the_next() {
    const NEXT: &str = "BEGIN;
        ALTER TABLE beacon.executions ADD COLUMN priority int NOT NULL DEFAULT 0;
        ALTER TABLE beacon.jobs ADD COLUMN note text;
        CREATE INDEX executions_by_priority ON beacon.executions (priority) WHERE state = 'queued';
        CREATE TABLE beacon.notes (id int);
        INSERT INTO beacon.migrations (version, name, checksum, dirty, serves_from)
            SELECT max(version) + 1, 'priority', '\\x00', false, max(version) FROM beacon.migrations;
        COMMIT";
    let folder = tempfile::tempdir().unwrap();
    let (simulator, deployment) =
        deployment(folder.path(), "warm = { fixed_s = 0.1 }\nwhen_full = \"reject\"");
    let database = deployment.database();
    let api = deployment.start("beacon-api", &[]);
    let _before = deployment.start("beacon-worker", &[]);
    let job = api.submit(&deployment.sign(&unsigned()));
    simulator.reaches("calls", 2);

    let _ = Cluster::shared().sql(database, NEXT);
    let _after = deployment.start("beacon-worker", &[]);
    let first = api.ended(&job);
    let again = std::fs::read_to_string(unsigned()).unwrap().replace("two-questions-example", "again");
    std::fs::write(folder.path().join("again.json"), again).unwrap();
    let second = api.ended(&api.submit(&deployment.sign(&folder.path().join("again.json"))));

    for ended in [&first, &second] {
        assert_eq!(ended["state"], "completed", "{ended}");
    }
    assert_eq!(simulator.count("rejected"), 0);
    let _ = Cluster::shared()
        .sql(database, "UPDATE beacon.migrations SET serves_from = version WHERE name = 'priority'");
    let refused = deployment.run("beacon-worker", &[], &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("_priority is newer"), "{}", refused.stderr);
}
