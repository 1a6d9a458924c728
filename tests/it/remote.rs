//! The command line as a client of a served API: submit, watch, export, steer, and the smoke test.

use std::{net::TcpListener, path::Path};

use beacon_testkit::Cluster;
use beacon_tests::{Deployment, Simulator, TOKEN, root};
use serde_json::Value;

use crate::SIX_CELLS;

/// The cells of `examples/unsigned/three-models.json`.
const NINE_CELLS: [(&str, &str); 9] = [
    ("llama3.2-1b", "us-east"),
    ("mistral-7b", "us-east"),
    ("qwen2.5-1.5b", "us-east"),
    ("llama3.2-1b", "eu-west"),
    ("mistral-7b", "eu-west"),
    ("qwen2.5-1.5b", "eu-west"),
    ("llama3.2-1b", "asia-pacific"),
    ("mistral-7b", "asia-pacific"),
    ("qwen2.5-1.5b", "asia-pacific"),
];

fn deployment(folder: &Path, cells: &[(&str, &str)], behaviour: &str) -> (Simulator, Deployment) {
    let simulator = Simulator::start(folder, cells, behaviour);
    let deployment = Deployment::new(Cluster::shared(), folder, &simulator.endpoints);
    let job = deployment.sign(&root().join("examples/unsigned/two-questions.json"));
    std::fs::write(folder.join("job.json"), job).unwrap();
    (simulator, deployment)
}

/// Question, model, region and text of every answer, in order.
fn answers(lines: &str, names: [&str; 3], within: &str) -> Vec<[String; 4]> {
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let cell = if within.is_empty() { &row } else { &row[within] };
        let text = row["answer"]["text"].as_str().unwrap().to_owned();
        let [question, model, region] = names.map(|name| cell[name].as_str().unwrap().to_owned());
        [question, model, region, text]
    };
    lines.lines().map(row).collect()
}

#[test]
fn a_job_is_submitted_watched_and_exported_over_http_and_is_the_one_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), &SIX_CELLS, "warm = { fixed_s = 0.05 }");
    let api = deployment.start("beacon-api", &[]);
    let _worker = deployment.start("beacon-worker", &[]);
    let url = api.url();
    let remote = |args: &[&str]| deployment.remote(&[args, &["--server", &url]].concat(), None);

    let ran = remote(&["submit", "job.json", "--watch", "--json"]);
    let again = remote(&["submit", "job.json"]);
    let job = ran.json()["job_id"].as_str().unwrap_or_else(|| panic!("{}", ran.stderr)).to_owned();
    let _ = api.ended(&job);
    let watched = remote(&["watch", &job[..8]]);
    let (lines, csv, table) = (
        remote(&["results", &job, "--format", "jsonl"]),
        remote(&["results", &job, "--format", "csv"]),
        remote(&["results", "two-questions-example"]),
    );
    let receipts = remote(&["receipts", &job]);
    let (shown, listed) = (remote(&["show", &job, "--json"]), remote(&["jobs"]));

    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert_eq!((ran.stdout.lines().count(), &ran.json()["executions_completed"]), (2, &12.into()));
    assert!(ran.stderr.contains("12/12 executions completed"), "{}", ran.stderr);
    assert!(again.stdout.contains("was there before: completed"), "{}{}", again.stdout, again.stderr);
    assert_eq!(watched.code, Some(0), "{}", watched.stderr);
    assert!(watched.stdout.contains(&format!(" --server {url}`")), "{}", watched.stdout);
    let stored = deployment.beacon(&["results", &job, "--format", "jsonl"]).stdout;
    assert_eq!(
        answers(&lines.stdout, ["question_id", "model_id", "region"], ""),
        answers(&stored, ["question", "model", "region"], "cell")
    );
    assert_eq!((csv.stdout.lines().count(), table.stdout.lines().count()), (13, 12), "{}", table.stderr);
    assert_eq!(csv.stdout, deployment.beacon(&["results", &job, "--format", "csv"]).stdout);
    assert_eq!(table.stdout, deployment.beacon(&["results", &job]).stdout);
    assert_eq!(receipts.stdout, deployment.beacon(&["receipts", &job]).stdout);
    assert_eq!(shown.json()["job"]["counts"]["completed"], 12);
    assert!(listed.stdout.starts_with(&job[..12]), "{}{}", listed.stdout, listed.stderr);
}

// A1
#[test]
fn a_cancel_over_http_needs_the_token_and_ends_the_watch_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let (simulator, deployment) = deployment(folder.path(), &SIX_CELLS, "warm = { fixed_s = 3000.0 }");
    let api = deployment.start("beacon-api", &[]);
    let _worker = deployment.start("beacon-worker", &[]);
    let url = api.url();
    let watch = deployment.start_remote(&["submit", "job.json", "--watch", "--server", &url], None);
    simulator.reaches("in_flight", 6);

    let cancel = ["cancel", "two-questions-example", "--server", &url];
    let nobody = deployment.remote(&cancel, None);
    let by_key = |deed: &str| {
        let args = [deed, "two-questions-example", "--server", &url, "--key", "signer.key"];
        deployment.remote(&args, None)
    };
    let (paused, resumed) = (by_key("pause"), by_key("resume"));
    let stranger = deployment.remote(&cancel, Some("not-the-token-0123456789abcdef012345"));
    let operator = deployment.remote(&cancel, Some(TOKEN));
    let watched = watch.wait();

    assert_eq!((nobody.code, stranger.code), (Some(2), Some(2)), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("token_required, HTTP 401, request "), "{}", nobody.stderr);
    assert!(!stranger.stderr.contains("not-the-token"), "{}", stranger.stderr);
    assert!(paused.stdout.starts_with("paused job"), "{}{}", paused.stdout, paused.stderr);
    assert!(resumed.stdout.starts_with("resumed job"), "{}{}", resumed.stdout, resumed.stderr);
    assert!(operator.stdout.contains("6 waiting, 6 in flight"), "{}{}", operator.stdout, operator.stderr);
    assert_eq!(watched.code, Some(3), "{}{}", watched.stdout, watched.stderr);
    assert!(
        watched.stderr.contains("0/2 questions done") && watched.stderr.contains("12 cancelled"),
        "{}",
        watched.stderr
    );
    assert!(watched.stdout.contains(": cancelled"), "{}", watched.stdout);
}

// A1
#[test]
fn cells_that_nobody_serves_are_left_out_by_who_signed_the_job_or_has_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), &SIX_CELLS[..5], "");
    let api = deployment.start("beacon-api", &[]);
    let url = api.url();
    let submit = ["submit", "job.json", "--accept-unsupported", "--server", &url];

    let nobody = deployment.remote(&submit, None);
    let signed = deployment.remote(&[&submit[..], &["--key", "signer.key"]].concat(), None);
    let operator = deployment.remote(&submit, Some(TOKEN));

    assert_eq!(nobody.code, Some(2), "{}", nobody.stdout);
    assert!(nobody.stderr.contains("accept_unsupported is for who may steer the job"), "{}", nobody.stderr);
    assert!(signed.stdout.starts_with("accepted job"), "{}{}", signed.stdout, signed.stderr);
    assert!(operator.stdout.contains("was there before"), "{}{}", operator.stdout, operator.stderr);
}

#[test]
fn a_watch_survives_the_death_of_the_server_and_its_return() {
    let folder = tempfile::tempdir().unwrap();
    let (simulator, deployment) = deployment(folder.path(), &SIX_CELLS, "warm = { fixed_s = 1.0 }");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let listen = [("BEACON__API__LISTEN", free.as_str())];
    let api = deployment.start("beacon-api", &listen);
    let url = api.url();
    let mut watch =
        deployment.start_remote(&["submit", "job.json", "--watch", "--json", "--server", &url], None);
    let mut told = std::io::BufReader::new(watch.stderr());
    let mut says = |text: &str| {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let read = std::io::BufRead::read_line(&mut told, &mut line).unwrap();
            assert!(read > 0, "it never says {text:?}");
        }
    };
    let worker = deployment.start("beacon-worker", &[]);
    simulator.reaches("in_flight", 6);

    api.process.kill();
    says("waiting for it");
    let _api = deployment.start("beacon-api", &listen);
    says("12/12 executions completed");

    assert_eq!(watch.ends(), Some(0));
    drop(worker);
}

#[test]
fn a_server_that_is_away_or_refuses_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), &SIX_CELLS, "");
    let api = deployment.start("beacon-api", &[]);
    let url = api.url();

    for (args, code, message) in [
        (&["jobs", "--server", "http://127.0.0.1:1"][..], 5, "start beacon-api, or correct the URL"),
        (&["submit", "job.json", "--server", "http://127.0.0.1:1"], 5, "connection refused"),
        (&["jobs", "--server", "127.0.0.1:1"], 2, "http://HOST:PORT"),
        (&["jobs", "--server", "http://me:secret@127.0.0.1:1"], 2, "takes a token instead"),
        (&["jobs", "--server", &url, "--db", "x.db"], 2, "cannot be used with"),
        (&["jobs", "--token", "x"], 2, "--server"),
        (&["watch", "nothing", "--server", &url], 2, "has no job \"nothing\""),
        (&["submit", "keys.json", "--server", &url], 2, "HTTP 400"),
        (&["smoke", "--server", &url], 2, "give a key that it trusts as --key FILE"),
    ] {
        let refused = deployment.remote(args, None);
        assert_eq!(refused.code, Some(code), "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(message), "{args:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains("secret@"), "{}", refused.stderr);
    }
}

#[test]
fn the_smoke_test_holds_on_a_sound_deployment() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment) = deployment(folder.path(), &NINE_CELLS, "warm = { fixed_s = 0.05 }");
    let api = deployment.start("beacon-api", &[]);
    let _worker = deployment.start("beacon-worker", &[]);
    let ring = std::fs::read(folder.path().join("runner.json")).unwrap();
    let ring: Value = serde_json::from_slice(&ring).unwrap();
    let runner = ring[0]["public_key"].as_str().unwrap();
    let url = api.url();
    let smoke = ["smoke", "--server", &url, "--key", "signer.key", "--runner-key"];

    let first = deployment.remote(&[&smoke[..], &[runner]].concat(), None);
    let second = deployment.remote(&[&smoke[..], &[runner, "--json"]].concat(), None);
    // The public key of RFC 8032, section 7.1, test 1.
    let another = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let other = deployment.remote(&[&smoke[..], &[another]].concat(), None);

    assert_eq!(first.code, Some(0), "{}{}", first.stdout, first.stderr);
    assert_eq!(first.stdout.matches("ok  ").count(), 10, "{}", first.stdout);
    assert!(first.stdout.ends_with("all 10 hold\n"), "{}", first.stdout);
    assert_eq!((second.code, &second.json()["holds"]), (Some(0), &true.into()), "{}", second.stderr);
    assert_eq!(other.code, Some(3), "{}", other.stdout);
    assert!(other.stdout.contains("FAIL  receipts hold"), "{}", other.stdout);
}

#[test]
fn the_smoke_test_says_what_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start_each(
        folder.path(),
        &NINE_CELLS,
        &|n| format!("warm = {{ fixed_s = 0.05 }}\n{}", if n == 4 { "script = [\"401\"]" } else { "" }),
        &|_| 1,
    );
    let deployment = Deployment::new(Cluster::shared(), folder.path(), &simulator.endpoints);
    let api = deployment.start("beacon-api", &[]);
    let _worker = deployment.start("beacon-worker", &[]);

    let smoke = deployment.remote(&["smoke", "--server", &api.url(), "--key", "signer.key"], None);

    assert_eq!(smoke.code, Some(3), "{}{}", smoke.stdout, smoke.stderr);
    assert!(smoke.stdout.contains("FAIL  every execution completed"), "{}", smoke.stdout);
    assert!(smoke.stdout.contains("8 of 9"), "{}", smoke.stdout);
    assert!(smoke.stdout.contains("ok    no cell twice"), "{}", smoke.stdout);
}
