//! A disk under PostgreSQL that gets full while a job runs, and is freed again.

use beacon_testkit::Cluster;
use beacon_tests::Service;

use super::{Scene, until};

const BEHAVIOUR: &str = "warm = { fixed_s = 0.1 }\nwhen_full = \"reject\"";
const RESULTS: &str = "SELECT count(*) FROM beacon.results";

/// A scene on a disk of its own, with segments of so many MiB in the write-ahead log, and two workers whose leases outlast
/// the test. `None` where this machine lets us make no such disk.
fn scene(segment: u32) -> Option<(Scene, [Service; 2])> {
    let Some(cluster) = Cluster::on_small_disk(160, segment).unwrap() else {
        eprintln!(
            "skipped: a small disk takes root and a mount namespace, and this machine lets us make none"
        );
        return None;
    };
    let scene = Scene::on_its_own(cluster, BEHAVIOUR);
    let workers = [(); 2].map(|()| scene.deployment.start("beacon-worker", &[]));
    Some((scene, workers))
}

#[test]
fn a_full_disk_is_named_by_all_and_the_job_goes_on_when_it_is_freed() {
    // The log has room in its segment: it is the tables that cannot grow.
    let Some((scene, workers)) = scene(64) else { return };
    let large = scene.deployment.sign(&scene.job(8, 32));
    scene.calls.hold_requests();
    let job = scene.submit(2, 1);
    until(|| scene.calls.held_requests() == 6);

    scene.cluster.fill_disk();
    scene.calls.go_on();
    until(|| workers.iter().any(|worker| worker.log().contains("is full; free some space")));
    let (status, refused) = scene.api.ask("POST", "/api/v1/jobs", &large);
    scene.api.says("is full; free some space");
    let (up, recorded) = (scene.cluster.is_up(), scene.counts(RESULTS));
    scene.cluster.free_disk();
    scene.ends_whole(&job, 12);

    assert_eq!((status, &refused["error"]["code"]), (503, &"store_unavailable".into()), "{refused}");
    assert_eq!((up, recorded), (true, 0), "a table that cannot grow does not stop the server");
    // Answers waited in the workers' memory.
    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (12, 0));
}

#[test]
fn a_disk_too_full_for_the_write_ahead_log_stops_the_server_and_loses_nothing() {
    let Some((scene, workers)) = scene(1) else { return };
    let job = scene.submit(5, 1);
    until(|| scene.counts(RESULTS) >= 6);
    scene.calls.hold_requests();
    let recorded = scene.counts(RESULTS);

    scene.cluster.fill_disk();
    scene.cluster.fill_log();
    until(|| !scene.cluster.is_running());
    let (status, _) = scene.api.ask("GET", &format!("/api/v1/jobs/{job}"), b"");
    scene.api.says("cannot reach");
    workers.iter().for_each(|worker| worker.says("cannot reach"));
    scene.cluster.free_disk();
    scene.cluster.start_again();
    let after = scene.counts(RESULTS);
    scene.calls.go_on();
    scene.ends_whole(&job, 30);

    assert_eq!(status, 503);
    assert!(after >= recorded, "{after} of {recorded}");
    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (30, 0));
}
