//! Steering a deployment from the command line: pause, resume, tokens, and who is there.

use std::path::Path;

use beacon_testkit::Cluster;
use beacon_tests::{Deployment, Simulator, TOKEN, between_looks, root};
use serde_json::Value;

use crate::SIX_CELLS;

fn deployment(folder: &Path) -> (Simulator, Deployment) {
    let simulator = Simulator::start(folder, &SIX_CELLS, "warm = { fixed_s = 0.05 }\nwhen_full = \"reject\"");
    let deployment = Deployment::new(Cluster::shared(), folder, &simulator.endpoints);
    (simulator, deployment)
}

#[test]
fn a_paused_job_waits_although_a_worker_is_there_and_goes_on_when_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (simulator, deployment) = deployment(folder.path());
    let api = deployment.start("beacon-api", &[]);
    let sql = |query: &str| Cluster::shared().sql(deployment.database(), query);
    let job = api.submit(&deployment.sign(&root().join("examples/unsigned/two-questions.json")));

    let paused = deployment.beacon(&["pause", &job, "--json"]).json();
    let again = deployment.beacon(&["pause", &job]);
    let worker = deployment.start("beacon-worker", &[]);
    while sql("SELECT count(*) FROM beacon.workers") != "1" {
        between_looks();
    }
    let shown = deployment.beacon(&["show", &job]);
    let listed = deployment.beacon(&["jobs"]);
    let called = simulator.count("calls");
    let resumed = deployment.beacon(&["resume", &job]);
    let ended = api.ended(&job);

    assert_eq!((&paused["changed"], &paused["paused"]["by"]), (&true.into(), &"command line".into()));
    assert!(again.stdout.contains("was already paused by command line"), "{}", again.stdout);
    assert!(shown.stdout.contains("12 wait for `beacon resume`"), "{}{}", shown.stdout, shown.stderr);
    assert!(listed.stdout.contains("(paused)"), "{}", listed.stdout);
    assert_eq!(called, 0);
    assert!(resumed.stdout.starts_with("resumed job"), "{}{}", resumed.stdout, resumed.stderr);
    assert_eq!(ended["counts"]["completed"], 12, "{ended}");
    let label = sql("SELECT label FROM beacon.workers");
    assert!(label.starts_with("worker-"), "{label}");
    worker.process.signal("TERM");
    while sql("SELECT count(*) FROM beacon.workers") != "0" {
        between_looks();
    }
}

// A1: `id` is not signed, so whoever has a copy of a signed job may submit it under any.
#[test]
fn a_copy_that_is_called_like_another_job_s_id_is_not_cancelled_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path());
    let api = deployment.start("beacon-api", &[]);
    let url = api.url();
    let unsigned = root().join("examples/unsigned/two-questions.json");
    let copy = |name: &str| {
        let mut copy: Value = serde_json::from_slice(&deployment.sign(&unsigned)).unwrap();
        copy["id"] = name.into();
        api.submit(copy.to_string().as_bytes())
    };
    let job = api.submit(&deployment.sign(&unsigned));
    let (short, whole) = (copy(&job[..12]), copy(&job));
    let state = |job: &str| api.ask("GET", &format!("/api/v1/jobs/{job}"), b"").1["job"]["state"].clone();
    let cancel = |job: &str| deployment.remote(&["cancel", job, "--server", &url], Some(TOKEN));

    let (unclear, paused) = (cancel(&job[..12]), deployment.beacon(&["pause", &job[..12]]));
    let before = [&job, &short, &whole].map(|job| state(job));
    let (clear, shown) = (cancel(&job), deployment.beacon(&["show", &job, "--json"]).json());

    let both = format!(
        "{:?} is the name of job {short} and begins the id of job {job}; give the whole id",
        &job[..12]
    );
    for refused in [unclear, paused] {
        assert_eq!(refused.code, Some(2), "{}", refused.stdout);
        assert!(refused.stderr.contains(&both), "{}", refused.stderr);
    }
    assert!(before.iter().all(|state| state != "cancelled"), "{before:?}");
    assert!(clear.stdout.contains("12 waiting, 0 in flight"), "{}{}", clear.stdout, clear.stderr);
    assert_eq!((&shown["job"]["id"], state(&job)), (&Value::from(job.as_str()), "cancelled".into()));
    assert!([&short, &whole].iter().all(|job| state(job) != "cancelled"));
}

// A1
#[test]
fn a_token_is_shown_once_and_only_its_hash_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path());
    let token = |args: &[&str]| deployment.run("beacon-api", &[&["token"], args].concat(), &[]);
    let sql = |query: &str| Cluster::shared().sql(deployment.database(), query);

    let made = token(&["new", "--name", "first", "--scope", "admin", "--expires-days", "30"]);
    let secret = made.stdout.trim();
    let id = secret.rsplit_once('_').unwrap().0.to_owned();
    let listed = token(&["list"]);
    let revoked = token(&["revoke", &id]);
    let unknown = token(&["revoke", "beacon_ffffffff"]);
    let as_json: Value = serde_json::from_str(token(&["list", "--json"]).stdout.trim()).unwrap();

    assert_eq!((made.code, secret.len()), (Some(0), 80), "{}", made.stderr);
    let hashed = format!("SELECT count(*) FROM beacon.tokens WHERE hash = sha256('{secret}')");
    assert_eq!(sql(&hashed), "1");
    assert!(listed.stdout.contains("admin    first  expires "), "{}", listed.stdout);
    assert!(!listed.stdout.contains(secret));
    assert_eq!((revoked.code, unknown.code), (Some(0), Some(2)), "{}", unknown.stderr);
    assert_eq!((&as_json["id"], as_json["revoked_at"].is_string()), (&Value::from(id), true));
    assert_eq!(sql("SELECT string_agg(action, ' ' ORDER BY no) FROM beacon.audit"), "token.new token.revoke");
}
