//! Webhooks over whole deployments: submitted over HTTP, queued and sent by workers, received on loopback.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use beacon_spec::{Timestamp, WebhookSecret};
use beacon_testkit::Cluster;
use beacon_tests::{Deployment, Receiver, Service, Simulator, between_looks, root};
use serde_json::{Value, json};

use crate::SIX_CELLS;

/// An operator who sends to loopback, over http.
const SENDS: [(&str, &str); 3] = [
    ("BEACON__WEBHOOKS__SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("BEACON__WEBHOOKS__ALLOW", "[\"127.0.0.0/8\"]"),
    ("BEACON__WEBHOOKS__ALLOW_HTTP", "true"),
];

fn deployment(folder: &Path) -> (Simulator, Deployment) {
    let simulator = Simulator::start(folder, &SIX_CELLS, "warm = { fixed_s = 0.05 }");
    let deployment = Deployment::new(Cluster::shared(), folder, &simulator.endpoints);
    (simulator, deployment)
}

/// The example of two questions, which tells this address of all that there is.
fn telling(folder: &Path, url: &str) -> PathBuf {
    let text = std::fs::read_to_string(root().join("examples/unsigned/two-questions.json")).unwrap();
    let mut job: Value = serde_json::from_str(&text).unwrap();
    job["webhooks"] = json!([{ "url": url, "events": ["batch.done", "job.ended"] }]);
    let file = folder.join("telling.json");
    std::fs::write(&file, job.to_string()).unwrap();
    file
}

/// The job's deliveries, once so many of them fit.
fn log_when(api: &Service, job: &str, n: usize, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    loop {
        let (status, log) = api.ask("GET", &format!("/api/v1/jobs/{job}/deliveries"), b"");
        assert_eq!(status, 200, "{log}");
        let rows = log["deliveries"].as_array().unwrap();
        if rows.iter().filter(|row| fits(row)).count() >= n {
            return rows.clone();
        }
        between_looks();
    }
}

#[test]
fn a_receiver_that_was_away_is_told_of_everything_once_by_two_workers() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path());
    let addr = Receiver::free_address();
    let api = deployment.start("beacon-api", &SENDS);
    let workers = [0, 1].map(|_| deployment.start("beacon-worker", &SENDS));
    let job = api.submit(&deployment.sign(&telling(folder.path(), &format!("http://{addr}/hook/secret"))));

    let waiting = log_when(&api, &job, 1, |one| one["last_error"].is_string());
    let receiver = Receiver::start(addr);
    let told = receiver.told(3);
    let delivered = log_when(&api, &job, 3, |one| one["state"] == "delivered");
    let ended = api.ended(&job);

    assert_eq!(ended["state"], "completed", "{ended}");
    assert!(waiting.iter().all(|one| one["state"] == "pending"), "{waiting:?}");
    assert!(delivered.iter().any(|one| one["attempts"] == 2), "{delivered:?}");
    assert!(
        waiting[0]["last_error"].as_str().unwrap().contains("nobody can be connected there"),
        "{waiting:?}"
    );
    assert!(delivered.iter().all(|one| one["last_status"] == 204), "{delivered:?}");
    let log = format!("{delivered:?}{}{}", workers[0].log(), workers[1].log());
    assert!(!log.contains("hook/secret") && !log.contains("whsec_"), "{log}");
    let ids: BTreeSet<_> = told.iter().map(|one| one.id.as_str()).collect();
    assert_eq!((told.len(), ids.len()), (3, 3), "{told:?}");
    let printed = deployment.run("beacon-api", &["webhook-secret", "signer"], &SENDS);
    let (_, answered) = api.ask("GET", "/api/v1/admin/keys/signer/webhook-secret", b"");
    assert_eq!(answered["secret"], printed.stdout.trim(), "{}", printed.stderr);
    let secret: WebhookSecret = printed.stdout.trim().parse().unwrap();
    for one in &told {
        let sent_at = Timestamp::from_second(one.timestamp.parse().unwrap()).unwrap();
        assert_eq!(one.signature, secret.sign(&one.id, sent_at, one.body.as_bytes()));
    }
    let end = told.iter().find(|one| one.id.ends_with("_end_0")).unwrap();
    let body: Value = serde_json::from_str(&end.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["job_id"]), (&"job.ended".into(), &job.as_str().into()));
    assert_eq!((&body["data"]["counts"]["completed"], &body["data"]["receipts"]), (&12.into(), &12.into()));
    let close = &ended["close"]["merkle_root"];
    assert_eq!(&body["data"]["merkle_root"], close, "{ended}");
}

// A cancel is told by the worker that closes the job.
#[test]
fn a_cancel_over_http_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path());
    let addr = Receiver::free_address();
    let receiver = Receiver::start(addr);
    let api = deployment.start("beacon-api", &SENDS);
    let job = api.submit(&deployment.sign(&telling(folder.path(), &format!("http://{addr}/"))));

    let (status, _) = api.ask("POST", &format!("/api/v1/jobs/{job}/cancel"), b"");
    let _worker = deployment.start("beacon-worker", &SENDS);
    let told = receiver.told(3);

    assert_eq!(status, 200);
    let end = told.iter().find(|one| one.id.ends_with("_end_0")).unwrap();
    let body: Value = serde_json::from_str(&end.body).unwrap();
    assert_eq!(
        (&body["data"]["state"], &body["data"]["counts"]["cancelled"]),
        (&"cancelled".into(), &12.into())
    );
}

// SSRF: what is refused at the door, and what is refused on the way because only the name could be seen at the door.
#[test]
fn addresses_inside_are_refused_at_submission_and_when_something_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path());
    let inside = Receiver::free_address();
    let receiver = Receiver::start(inside);
    let port = inside.port();
    let (strict, open) = ([SENDS[0], SENDS[2]], SENDS);
    let api = deployment.start("beacon-api", &strict);
    for host in ["169.254.169.254", "127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost"] {
        let job = deployment.sign(&telling(folder.path(), &format!("http://{host}:{port}/")));
        let (status, refused) = api.ask("POST", "/api/v1/jobs", &job);
        assert_eq!(
            (status, &refused["error"]["code"]),
            (422, &"webhook_refused".into()),
            "{host}: {refused}"
        );
    }
    // An API that allows it does not decide for the worker.
    let generous = deployment.start("beacon-api", &open);
    let _worker = deployment.start("beacon-worker", &strict);
    let job =
        generous.submit(&deployment.sign(&telling(folder.path(), &format!("http://127.0.0.1:{port}/"))));

    let failed = log_when(&api, &job, 3, |one| one["state"] == "failed");

    let error = failed[0]["last_error"].as_str().unwrap();
    assert!(error.contains("127.0.0.1, which is loopback") && error.contains("webhooks.allow"), "{error}");
    assert_eq!(receiver.told(0), []);
}

#[test]
fn a_run_from_a_file_tells_nobody_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path());
    let _ = deployment.sign(&telling(folder.path(), "https://hook.example/"));

    let run = deployment.remote(&["run", "s.json", "--db", "local.db"], None);

    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(
        run.stderr.matches("which services send; nobody is told of this run").count(),
        1,
        "{}",
        run.stderr
    );
}
