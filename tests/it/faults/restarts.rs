//! A PostgreSQL that is restarted while a job runs, as an operator does it and as a crash does it.

use std::time::{Duration, Instant};

use beacon_testkit::{Cluster, Sync};
use beacon_tests::{Deployment, Simulator, between_looks};

use super::{LEASE_S, RECOVERY};
use crate::{SIX_CELLS, services::check_receipts, services::unsigned};

/// From the moment at which the server takes clients again: the recorder's longest pause is 5 s.
const NEXT_RECORD: Duration = Duration::from_secs(15);

fn check(stop: fn(&Cluster)) {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, "warm = { fixed_s = 0.4 }\nwindow_s = 0.2");
    let cluster = Cluster::start(Sync::On).unwrap();
    let deployment = Deployment::new(&cluster, folder.path(), &simulator.endpoints);
    let api = deployment.start("beacon-api", &[]);
    let _workers =
        [(); 2].map(|()| deployment.start("beacon-worker", &[("BEACON__WORKER__LEASE_S", LEASE_S)]));
    let job = api.submit(&deployment.sign(&unsigned()));
    let recorded = || cluster.sql(deployment.database(), "SELECT count(*) FROM beacon.results");
    simulator.reaches("redirects", 6);

    stop(&cluster);
    // What was being called ends while there is no database.
    while simulator.count("in_flight") > 0 {
        between_looks();
    }
    cluster.start_again();
    let up = Instant::now();
    let before = recorded();
    while recorded() == before {
        assert!(up.elapsed() < NEXT_RECORD, "nothing recorded {NEXT_RECORD:?} after the start");
        between_looks();
    }
    eprintln!("recorded again {:.1} s after the start", up.elapsed().as_secs_f64());
    let ended = api.ended_within(&job, RECOVERY);

    assert_eq!(ended["counts"]["completed"], 12, "{ended}");
    check_receipts(&deployment, folder.path(), &job, 12);
    // The workers lived: they keep their calls, or find them again.
    assert_eq!(simulator.count("calls"), 12);
}

#[test]
fn a_job_ends_after_a_restart_that_lets_nobody_finish() {
    check(Cluster::shut_down);
}

#[test]
fn a_job_ends_after_a_restart_that_is_a_crash() {
    check(Cluster::crash);
}
