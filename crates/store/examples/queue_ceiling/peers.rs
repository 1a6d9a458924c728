//! Another queue on the same server, for comparison. Only when asked for: its packages come from the network.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use beacon_testkit::Cluster;
use serde_json::Value;

/// What other queues did with 24 workers on a machine of two cores whose bare loop did 25 to 31 thousand per second.
const MEASURED_BEFORE: [(&str, f64); 4] = [
    ("graphile-worker 0.18.0, batched", 19_788.0),
    ("graphile_worker (Rust) 0.14.1, batched", 24_145.0),
    ("pg-boss 12.30.0, batches of 100", 15_990.0),
    ("graphile-worker 0.18.0, as it comes", 1_839.0),
];

pub(crate) fn report(cluster: &Cluster) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/queue_ceiling/peers");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench/peers");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "graphile.mjs"] {
        std::fs::copy(here.join(file), folder.join(file)).unwrap();
    }
    let install = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"];
    let installed = Command::new("npm").args(install).current_dir(&folder).status();
    if !installed.is_ok_and(|status| status.success()) {
        println!("peers: npm cannot install them; this comparison needs Node.js, npm and the network");
        return;
    }
    let database = cluster.database(None);
    let mut node = Command::new("node");
    node.arg("graphile.mjs").arg(cluster.socket()).arg(&database).current_dir(&folder);
    let output = node.stderr(Stdio::inherit()).output().unwrap();
    // It writes its log between the figures.
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with('{')) {
        let run: Value = serde_json::from_str(line).unwrap();
        let (name, rate) = (run["name"].as_str().unwrap(), run["per_second"].as_f64().unwrap());
        println!("{name:<40} {rate:>8.0}  {} jobs, no fence, no limits, no receipts", run["jobs"]);
    }
    for (name, rate) in MEASURED_BEFORE {
        println!("{name:<40} {rate:>8.0}  measured before, on another machine");
    }
}
