//! A PostgreSQL that is restarted while a job runs, as an operator does it and as a crash does it.

use std::time::{Duration, Instant};

use beacon_testkit::{Cluster, Sync};
use beacon_tests::between_looks;

use super::{Scene, until};

/// From the moment at which the server takes clients again: the recorder's longest pause is 5 s.
const NEXT_RECORD: Duration = Duration::from_secs(15);

fn check(stop: fn(&Cluster)) {
    let cluster = Cluster::start(Sync::On).unwrap();
    let scene =
        Scene::on_its_own(cluster, "warm = { fixed_s = 1.0 }\nwindow_s = 0.2\nwhen_full = \"reject\"");
    let _workers = [(); 2].map(|()| scene.worker());
    let job = scene.submit(2, 1);
    until(|| scene.counts("SELECT count(*) FROM beacon.executions WHERE resume IS NOT NULL") == 6);

    stop(scene.cluster);
    // What was being called ends while there is no database.
    until(|| scene.simulator.count("in_flight") == 0);
    scene.cluster.start_again();
    let up = Instant::now();
    while scene.counts("SELECT count(*) FROM beacon.results") == 0 {
        assert!(up.elapsed() < NEXT_RECORD, "nothing recorded {NEXT_RECORD:?} after the start");
        between_looks();
    }
    eprintln!("recorded again {:.1} s after the start", up.elapsed().as_secs_f64());
    scene.ends_whole(&job, 12);

    // The workers lived: they keep their calls, or find them again.
    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (12, 0));
}

#[test]
fn a_job_ends_after_a_restart_that_lets_nobody_finish() {
    check(Cluster::shut_down);
}

#[test]
fn a_job_ends_after_a_restart_that_is_a_crash() {
    check(Cluster::crash);
}
