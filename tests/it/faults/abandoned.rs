//! Calls that nobody waits for any more while their endpoint goes on with them: after a cancel, after the end of a worker,
//! after a time limit. No endpoint ever has more calls than its limit, as it counts them itself (S1).

use beacon_testkit::Cluster;

use super::{Scene, until};

const RESULTS: &str = "SELECT count(*) FROM beacon.results WHERE answer IS NOT NULL";

impl Scene {
    /// With endpoints that take any number of calls, and say how many they had; ours allow one.
    fn watching(behaviour: &str, linger_s: f64) -> Self {
        let scene = Self::on(Cluster::shared(), &format!("capacity = 8\n{behaviour}"), 1);
        scene.simulator.linger(linger_s);
        scene
    }

    /// The most calls that an endpoint had at once.
    fn most_in_flight(&self) -> u64 {
        let stats = self.simulator.stats();
        let endpoints = stats["endpoints"].as_object().unwrap().values();
        endpoints.map(|endpoint| endpoint["max_in_flight"].as_u64().unwrap()).max().unwrap()
    }

    /// What is in the database's list of abandoned calls.
    fn abandoned(&self) -> u64 {
        self.counts("SELECT count(*) FROM beacon.abandoned")
    }
}

#[test]
fn the_next_job_waits_until_the_calls_of_a_cancelled_one_are_over() {
    let scene = Scene::watching("warm = { fixed_s = 3.0 }", 3.5);
    let _worker = scene.worker();
    let cancelled = scene.submit(2, 1);
    scene.simulator.reaches("in_flight", 6);
    let (status, _) = scene.api.ask("POST", &format!("/api/v1/jobs/{cancelled}/cancel"), b"");
    assert_eq!(status, 200);

    let next = scene.submit(1, 1);
    until(|| scene.abandoned() == 6);
    let (_, waiting) = scene.api.ask("GET", &format!("/api/v1/jobs/{next}/explain"), b"");
    let (_, seen) = scene.api.ask("GET", "/api/v1/endpoints", b"");
    let ended = scene.api.ended(&next);

    assert_eq!(waiting["waiting"][0]["waits_for"], "abandoned", "{waiting}");
    assert_eq!(waiting["waiting"][0]["until"], seen["endpoints"][0]["abandoned_until"], "{waiting} {seen}");
    assert!(waiting["waiting"][0]["until"].is_string(), "{waiting}");
    assert_eq!(
        (&seen["endpoints"][0]["in_flight"], &seen["endpoints"][0]["abandoned"]),
        (&1.into(), &1.into())
    );
    assert_eq!(ended["counts"]["completed"], 6, "{ended}");
    assert_eq!((scene.most_in_flight(), scene.simulator.count("calls")), (1, 12));
}

// L9: the lease lasts 2 s, the calls 5 s; what the dead worker had in flight runs on behind the lease's end.
#[test]
fn the_slots_of_a_killed_worker_stay_taken_until_its_calls_are_over() {
    let scene = Scene::watching("warm = { fixed_s = 5.0 }", 5.5);
    let first = scene.worker();
    let job = scene.submit(1, 1);
    scene.simulator.reaches("in_flight", 6);

    first.process.kill();
    let _second = scene.worker();
    scene.ends_whole(&job, 6);

    assert_eq!((scene.most_in_flight(), scene.simulator.count("calls")), (1, 6 + 6));
}

// C2: the calls can be found again, so they keep their slots for their executions and nobody else gets them.
#[test]
fn calls_that_a_stopped_worker_left_to_be_found_again_keep_their_slots() {
    let scene = Scene::watching("warm = { fixed_s = 5.0 }\nwindow_s = 0.5", 0.0);
    let mut first = scene.worker();
    let one = scene.submit(1, 1);
    scene.simulator.reaches("redirects", 6);
    until(|| scene.counts("SELECT count(*) FROM beacon.executions WHERE resume IS NOT NULL") == 6);
    let other = scene.submit(2, 1);
    first.process.signal("TERM");
    assert_eq!(first.process.ends(), Some(0));
    assert_eq!((scene.abandoned(), scene.counts(RESULTS)), (6, 0));

    let _second = scene.worker();
    let ended = [scene.api.ended(&one), scene.api.ended(&other)];

    assert_eq!((&ended[0]["counts"]["completed"], &ended[1]["counts"]["completed"]), (&6.into(), &12.into()));
    assert_eq!((scene.most_in_flight(), scene.simulator.count("calls")), (1, 18));
}
