//! A worker whose connections to the database stand still for longer than its lease, without being cut. Others take over; when
//! they go on, what the worker still wants to write is fenced off (L3, S1).

use beacon_tests::Service;

use super::{RECOVERY, Scene, until};

/// Both workers work to the end of the job, and stop as asked.
fn stop(workers: [Service; 2]) {
    for mut worker in workers {
        worker.process.signal("TERM");
        assert_eq!(worker.process.ends(), Some(0), "{}", worker.log());
    }
}

#[test]
fn calls_of_a_stalled_worker_that_can_be_found_again_are_not_repeated() {
    let scene = Scene::new("warm = { fixed_s = 1.2 }\nwindow_s = 0.3\nwhen_full = \"reject\"");
    let stalled = scene.worker_through_proxy();
    let job = scene.submit(3, 1);
    until(|| scene.counts("SELECT count(*) FROM beacon.executions WHERE resume IS NOT NULL") == 6);

    scene.database.hold_requests();
    let other = scene.worker();
    other.says("expired leases");
    scene.database.go_on();
    scene.ends_whole(&job, 18);
    stop([stalled, other]);

    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (18, 0));
}

// The leases run out while nobody knows what became of the calls, which were over by then: each is made once more, alone.
#[test]
fn calls_of_a_stalled_worker_that_cannot_be_found_again_are_repeated_once() {
    let scene = Scene::new("warm = { fixed_s = 0.5 }\nwhen_full = \"reject\"");
    let stalled = scene.worker_through_proxy();
    let job = scene.submit(4, 1);
    scene.simulator.reaches("in_flight", 6);

    scene.database.hold_requests();
    let other = scene.worker();
    other.says("expired leases");
    scene.database.go_on();
    scene.ends_whole(&job, 24);
    stop([stalled, other]);

    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (24 + 6, 0));
}

// The one case in which an endpoint meets more calls than its limit, by design: the calls of the stalled worker outlive their
// leases, and nobody can tell a stalled worker from a dead one. The endpoint's 429 then costs no attempt.
#[test]
fn calls_that_outlive_their_leases_are_met_by_others_and_the_endpoint_turns_those_away() {
    let scene = Scene::new("warm = { fixed_s = 5.0 }\nwhen_full = \"reject\"");
    let stalled = scene.worker_through_proxy();
    let job = scene.submit(1, 1);
    scene.simulator.reaches("in_flight", 6);

    scene.database.hold_requests();
    let other = scene.worker();
    scene.simulator.reaches("rejected", 6);
    scene.database.go_on();
    scene.ends_whole(&job, 6);
    stop([stalled, other]);

    let stats = scene.simulator.stats();
    assert_eq!((&stats["max_running"], &stats["executions"]), (&6.into(), &12.into()), "{stats}");
    assert_eq!(scene.sql("SELECT max(failures) FROM beacon.executions"), "0", "no attempt was used up");
}

/// A worker that stands still in the middle of a transaction: after the statement that has this text nothing arrives on either
/// side, as for a machine that hangs or a network that swallows packets. The server believes in the connection until its
/// keepalive, hours later; it gives the transaction up after a third of `database.statement_timeout_s`, 5 s.
fn stalled_after(scene: &Scene, statement: &str) -> (Service, String) {
    scene.database.hold_answers_from(&[statement]);
    let stalled = scene.worker_through_proxy();
    let job = scene.submit(2, 1);
    until(|| scene.database.held_answers() > 0);
    scene.database.hold_requests();
    (stalled, job)
}

// It holds the endpoints' rows.
#[test]
fn a_worker_that_stalls_in_the_middle_of_a_claim_does_not_stop_the_others_for_long() {
    let scene = Scene::new("warm = { fixed_s = 0.1 }\nwhen_full = \"reject\"");
    let (stalled, job) = stalled_after(&scene, "endpoint::lock");

    let other = scene.worker();
    scene.ends_whole(&job, 12);
    scene.database.go_on();
    stop([stalled, other]);

    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (12, 0));
}

// It holds executions, their batch and the job's lock.
#[test]
fn a_worker_that_stalls_in_the_middle_of_a_record_does_not_stop_the_others_for_long() {
    let scene = Scene::new("warm = { fixed_s = 0.1 }\nwhen_full = \"reject\"");
    let (stalled, job) = stalled_after(&scene, "result::write");

    let other = scene.worker();
    scene.ends_whole(&job, 12);
    scene.database.go_on();
    stop([stalled, other]);

    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (12 + 6, 0));
}

// S7: a cancel needs the job's lock alone.
#[test]
fn a_job_can_be_cancelled_although_a_worker_stalls_in_the_middle_of_a_record() {
    let scene = Scene::new("warm = { fixed_s = 0.1 }");
    let (_stalled, job) = stalled_after(&scene, "result::write");

    let asked = std::time::Instant::now();
    let (status, cancelled) = scene.api.ask("POST", &format!("/api/v1/jobs/{job}/cancel"), b"");

    assert_eq!((status, &cancelled["state"]), (200, &"cancelled".into()), "{cancelled}");
    assert!(asked.elapsed() < RECOVERY, "{:?}", asked.elapsed());
}
