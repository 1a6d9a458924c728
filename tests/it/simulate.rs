//! `beacon simulate` as a process of its own: its ready line, its endpoints file, its end, and `beacon run` against it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use beacon_tests::{beacon, root};
use serde_json::Value;

/// A running simulator; it is killed if a test ends early.
struct Simulate {
    child: Child,
    ready: Value,
}

impl Simulate {
    /// Starts it on a free port and waits for its ready line.
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut command = beacon();
        command.args(["simulate", "--json", "--listen", "127.0.0.1:0"]).args(args).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, ready }
    }

    fn stats(&self) -> Value {
        let mut stream = TcpStream::connect(self.ready["listening"].as_str().unwrap()).unwrap();
        stream.write_all(b"GET /stats HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Simulate {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_simulator_says_where_it_is_and_ends_in_order_on_either_signal() {
    let folder = tempfile::tempdir().unwrap();
    for signal in ["-TERM", "-INT"] {
        let mut simulate = Simulate::start(folder.path(), &["--cells", "m@EU,n"]);
        assert_eq!(simulate.ready["endpoints"].as_array().unwrap().len(), 4, "{}", simulate.ready);
        assert_eq!(simulate.stats()["calls"], 0);

        simulate.signal(signal);

        assert_eq!(simulate.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();

    let output = beacon().args(["simulate", "--cells", "m", "--listen", &addr]).output().unwrap();

    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(&addr) && stderr.contains("--listen"), "{stderr}");
}

#[test]
fn what_cannot_be_simulated_is_refused_with_the_file_and_the_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let entry = "[[endpoint]]\nid = \"us-east/m\"\nmodel = \"m\"\nregion = \"US\"\n";
    let cases = [
        ("seed = 1\n".to_owned(), "has no [[endpoint]]"),
        (format!("{entry}capacity = 0\n"), "us-east/m: capacity must be at least 1"),
        (format!("{entry}colour = 1\n"), "line 5"),
        (entry.repeat(2), "same address"),
    ];
    for (text, reason) in cases {
        std::fs::write(folder.path().join("sim.toml"), text).unwrap();

        let output =
            beacon().args(["simulate", "--config", "sim.toml"]).current_dir(folder.path()).output().unwrap();

        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{reason}: {stderr}");
        assert!(stderr.contains("sim.toml") && stderr.contains(reason), "{reason}: {stderr}");
    }
}

/// The job of this name, signed anew by the example key with this limit of one attempt.
fn job_with_attempt_limit(folder: &Path, name: &str, limit_ns: u64) {
    let text = std::fs::read_to_string(root().join(format!("examples/unsigned/{name}.json"))).unwrap();
    let mut job: Value = serde_json::from_str(&text).unwrap();
    job["constraints"]["provider_timeout"] = limit_ns.into();
    std::fs::write(folder.join("unsigned.json"), job.to_string()).unwrap();
    let key = root().join("examples/EXAMPLE-ONLY.key").display().to_string();
    let signed = beacon()
        .args(["sign", "unsigned.json", "--key", &key, "--out", "job.json"])
        .current_dir(folder)
        .status()
        .unwrap();
    assert!(signed.success());
    std::fs::copy(root().join("examples/keys.json"), folder.join("keys.json")).unwrap();
}

// C7: an endpoint that hangs, drips, resets, lies about its length, returns HTML, redirects elsewhere, never stops, has no
// room, or forgets its call costs an attempt, and no execution.
#[test]
fn a_job_outlives_one_bad_day_of_every_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    job_with_attempt_limit(folder.path(), "three-models", 1_000_000_000);
    let config = root().join("examples/endpoints/simulator-bad-days.toml").display().to_string();
    let simulate =
        Simulate::start(folder.path(), &["--config", &config, "--write-endpoints", "endpoints.toml"]);

    let output = beacon()
        .args(["run", "job.json", "--endpoints", "endpoints.toml", "--json"])
        .current_dir(folder.path())
        .output()
        .unwrap();

    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["executions_completed"], &summary["executions_failed"]), (&9.into(), &0.into()));
    let stats = simulate.stats();
    for (id, endpoint) in stats["endpoints"].as_object().unwrap() {
        assert_eq!(endpoint["calls"], 2, "{id}: a bad day and a good one");
    }
    assert_eq!((&stats["rejected"], &stats["repeated_keys"]), (&1.into(), &0.into()));
}
