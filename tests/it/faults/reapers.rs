//! Two workers that reap at the same moment.

use super::{Scene, until};

#[test]
fn leases_of_a_killed_worker_return_once_when_two_reap_at_the_same_moment() {
    const LEASES: u64 = 96;
    let scene = Scene::with_limit("warm = { fixed_s = 2.0 }\nwhen_full = \"reject\"", 16);
    // They stand still until all leases of the first have run out, and then look at once.
    let others = [(); 2].map(|()| scene.worker());
    others.iter().for_each(|other| other.process.signal("STOP"));
    let first = scene.worker();
    let job = scene.submit(1, 32);
    scene.simulator.reaches("in_flight", LEASES);

    first.process.kill();
    until(|| scene.counts("SELECT count(*) FROM beacon.executions WHERE lease_until > now()") == 0);
    until(|| scene.simulator.count("in_flight") == 0);
    let leased = scene.counts("SELECT count(*) FROM beacon.executions WHERE state = 'running'");
    others.iter().for_each(|other| other.process.signal("CONT"));
    scene.ends_whole(&job, 192);

    assert!(leased >= LEASES / 2, "{leased}");
    let returned = scene.sql("SELECT sum(expiries), max(expiries) FROM beacon.executions");
    assert_eq!(returned, format!("{leased}|1"), "each lease returned once");
    let attempts = scene.counts("SELECT sum(attempts) FROM beacon.executions");
    assert_eq!(attempts, 192 + leased, "and was run once more");
    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (attempts, 0));
}
