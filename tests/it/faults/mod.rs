//! Faults that processes and machines have: a worker killed at each step of a call, a database that stalls, cuts, restarts or
//! runs out of disk. Whatever it is: nothing recorded is lost, nothing is recorded twice, no call is paid for again that can
//! be found again, and the job ends in a stated time.

mod abandoned;
mod cuts;
mod disk;
mod kills;
mod pool;
mod reapers;
mod restarts;
mod stalls;

use std::{path::PathBuf, time::Duration};

use beacon_testkit::{Cluster, Proxy};
use beacon_tests::{Deployment, Service, Simulator, between_looks, root};
use serde_json::Value;

use crate::{SIX_CELLS, services::check_receipts};

/// The leases of these workers, in seconds. Another worker takes over at most one look of the reaper (1 s) after it.
const LEASE_S: &str = "2";

/// Within this a job of a few seconds ends after a fault: the lease, the reaper's look, the work itself, and room for a
/// machine that is busy with other things.
const RECOVERY: Duration = Duration::from_secs(30);

/// A deployment over six simulated endpoints; its API is direct, its workers come as each test likes them.
struct Scene {
    folder: tempfile::TempDir,
    simulator: Simulator,
    /// Between the workers and the endpoints.
    calls: Proxy,
    /// Between some workers and the database.
    database: Proxy,
    deployment: Deployment,
    api: Service,
    cluster: &'static Cluster,
}

impl Scene {
    /// On the shared cluster, with endpoints that take one call at a time and behave like this.
    fn new(behaviour: &str) -> Self {
        Self::with_limit(behaviour, 1)
    }

    /// The same, with endpoints that take so many calls at a time.
    fn with_limit(behaviour: &str, limit: u32) -> Self {
        Self::on(Cluster::shared(), &format!("capacity = {limit}\n{behaviour}"), limit)
    }

    /// The same on a cluster of its own, which ends with this process.
    fn on_its_own(cluster: Cluster, behaviour: &str) -> Self {
        Self::on(Box::leak(Box::new(cluster)), &format!("capacity = 1\n{behaviour}"), 1)
    }

    fn on(cluster: &'static Cluster, behaviour: &str, limit: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let behaviour = |_| behaviour.to_owned();
        let simulator = Simulator::start_each(folder.path(), &SIX_CELLS, &behaviour, &|_| limit);
        let calls = Proxy::to(simulator.addr()).unwrap();
        simulator.lead_through(calls.addr());
        let database = Proxy::to(cluster.socket_file()).unwrap();
        let deployment = Deployment::new(cluster, folder.path(), &simulator.endpoints);
        let api = deployment.start("beacon-api", &[]);
        Self { folder, simulator, calls, database, deployment, api, cluster }
    }

    /// A worker with a direct way to the database.
    fn worker(&self) -> Service {
        self.deployment.start("beacon-worker", &[("BEACON__WORKER__LEASE_S", LEASE_S)])
    }

    /// A worker whose way to the database leads through the proxy.
    fn worker_through_proxy(&self) -> Service {
        let url = self.deployment.url_through(self.database.addr());
        let settings = [("BEACON__WORKER__LEASE_S", LEASE_S), ("BEACON__DATABASE__URL", &url)];
        self.deployment.start("beacon-worker", &settings)
    }

    /// Submits a job with so many questions and runs of each: six executions per run.
    fn submit(&self, questions: usize, runs: u32) -> String {
        self.api.submit(&self.deployment.sign(&self.job(questions, runs)))
    }

    fn job(&self, questions: usize, runs: u32) -> PathBuf {
        let all: Value = read("examples/unsigned/bias-detection.json");
        let mut job = read("examples/unsigned/two-questions.json");
        job["id"] = format!("{questions}-questions-{runs}-runs").into();
        job["questions"] = all["questions"].as_array().unwrap()[..questions].to_vec().into();
        job["runs"] = runs.into();
        let path = self.folder.path().join("unsigned.json");
        std::fs::write(&path, job.to_string()).unwrap();
        path
    }

    /// The job has ended in time and each of its executions is there once, completed, with its receipt.
    fn ends_whole(&self, job: &str, executions: usize) {
        let ended = self.api.ended_within(job, RECOVERY);
        self.is_whole(job, &ended, executions);
    }

    fn is_whole(&self, job: &str, ended: &Value, executions: usize) {
        assert_eq!(ended["counts"]["completed"], executions, "{ended}");
        check_receipts(&self.deployment, self.folder.path(), job, executions);
        let left = "SELECT count(*) FROM beacon.executions WHERE worker IS NOT NULL OR state <> 'completed'";
        assert_eq!(self.sql(left), "0", "nothing is left running");
        assert_eq!(self.sql("SELECT count(*) FROM beacon.results"), executions.to_string());
    }

    /// What the database says to this.
    fn sql(&self, sql: &str) -> String {
        self.cluster.sql(self.deployment.database(), sql)
    }

    /// A number that the database counts.
    fn counts(&self, sql: &str) -> u64 {
        self.sql(sql).parse().unwrap()
    }
}

fn read(example: &str) -> Value {
    serde_json::from_slice(&std::fs::read(root().join(example)).unwrap()).unwrap()
}

/// Looks until it is so.
fn until(so: impl Fn() -> bool) {
    while !so() {
        between_looks();
    }
}
