//! One connection to the database for all that a process does.

use super::{LEASE_S, RECOVERY, Scene};

#[test]
fn one_connection_per_process_is_enough_for_many_calls_in_flight() {
    // 96 calls at once, each with a result URL to store, over two connections.
    let scene = Scene::with_limit("warm = { fixed_s = 0.5 }\nwindow_s = 0.1\nwhen_full = \"reject\"", 16);
    let one = [("BEACON__WORKER__LEASE_S", LEASE_S), ("BEACON__DATABASE__CONNECTIONS", "1")];
    let api = scene.deployment.start("beacon-api", &one[1..]);
    let _workers = [(); 2].map(|()| scene.deployment.start("beacon-worker", &one));

    let job = api.submit(&scene.deployment.sign(&scene.job(2, 32)));
    let ended = api.ended_within(&job, RECOVERY);

    scene.is_whole(&job, &ended, 2 * 32 * 6);
    let stats = scene.simulator.stats();
    assert_eq!((&stats["calls"], &stats["rejected"]), (&(2 * 32 * 6).into(), &0.into()), "{stats}");
    assert!(stats["max_in_flight"].as_u64().unwrap() > 48, "{stats}");
}
