//! Where the cases run: a database of its own, an API as a process, and a key whose jobs are signed here.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use beacon_spec::{Profile, SignOptions, SigningKey, Timestamp, sign_spec};
use beacon_testkit::Cluster;
use beacon_tests::{Deployment, EIGHT_CELLS, Service, Simulator};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::hello::Hello;

/// A place to run in.
pub(crate) struct Site<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) folder: TempDir,
    pub(crate) runtime: Runtime,
    pub(crate) hello: Hello,
    key: SigningKey,
}

impl<'a> Site<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        let folder = tempfile::tempdir().expect("the machine has a temporary folder");
        let runtime = Runtime::new().expect("a runtime starts");
        Self { cluster, folder, runtime, hello: Hello::start(), key: SigningKey::generate() }
    }

    /// Simulated endpoints, one for each cell, and services for them that trust this site's key.
    pub(crate) fn deployment(&self, behaviour: &str) -> (Simulator, Deployment) {
        let folder = self.folder.path();
        let simulator = Simulator::start(folder, &EIGHT_CELLS, behaviour);
        let deployment = Deployment::new(self.cluster, folder, &simulator.endpoints);
        let ring = json!([{ "kid": "bench", "public_key": self.key.public_key_base64() }]);
        fs::write(folder.join("keys.json"), ring.to_string()).expect("the folder is writable");
        (simulator, deployment)
    }

    /// An API without limits on how often one may ask: all clients are one address and one key.
    pub(crate) fn api(&self, deployment: &Deployment, batching: &str) -> Service {
        let batching = format!("\"{batching}\"");
        let settings = [
            ("BEACON__API__ADDRESS_RATE_PER_S", "0"),
            ("BEACON__API__KEY_RATE_PER_S", "0"),
            ("BEACON__API__CONNECTIONS_PER_ADDRESS", "0"),
            ("BEACON__API__BATCHING", batching.as_str()),
        ];
        deployment.start("beacon-api", &settings)
    }

    /// A job of so many questions, each in every cell, signed now.
    pub(crate) fn job(&self, name: &str, questions: u32) -> Vec<u8> {
        let questions: Vec<String> = (0..questions).map(|n| format!("What is {n}?")).collect();
        let mut job = json!({
            "id": name, "version": "v1", "benchmark": { "name": "load" }, "questions": questions,
            "models": ["a", "b", "c", "d"], "constraints": { "regions": ["us-east", "eu-west"] },
            "metadata": { "nonce": name },
        });
        let options = SignOptions { timestamp: Some(now()), ..SignOptions::default() };
        sign_spec(&mut job, &self.key, Profile::Jcs, &options).expect("the job is an object")
    }

    /// A number that psql prints on the deployment's database.
    pub(crate) fn number(&self, deployment: &Deployment, sql: &str) -> f64 {
        let printed = self.cluster.sql(deployment.database(), sql);
        printed.trim().parse().unwrap_or_else(|_| panic!("{sql} gave {printed:?}, which is no number"))
    }
}

/// The service's address.
pub(crate) fn addr(service: &Service) -> String {
    service.url().trim_start_matches("http://").to_owned()
}

/// Microseconds since 1970.
pub(crate) fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_micros()).expect("it is before the year 294,000")
}

fn now() -> Timestamp {
    Timestamp::from_microsecond(now_micros()).expect("now is a time")
}
