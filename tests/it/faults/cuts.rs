//! Connections to the database that are cut again and again, under the API and under workers.

use beacon_tests::between_looks;

use super::{LEASE_S, RECOVERY, Scene};

#[test]
fn a_job_ends_although_all_connections_are_cut_again_and_again() {
    let scene = Scene::new("warm = { fixed_s = 0.2 }\nwindow_s = 0.1\nwhen_full = \"reject\"");
    let url = scene.deployment.url_through(scene.database.addr());
    let settings = [("BEACON__WORKER__LEASE_S", LEASE_S), ("BEACON__DATABASE__URL", url.as_str())];
    let _workers = [(); 2].map(|()| scene.deployment.start("beacon-worker", &settings));
    let api = scene.deployment.start("beacon-api", &settings[1..]);
    let job = api.submit(&scene.deployment.sign(&scene.job(4, 1)));
    let began = std::time::Instant::now();

    let (mut cuts, mut looks) = (0, 0_u32);
    let ended = loop {
        // Often enough to hit every kind of transaction, seldom enough for some to pass.
        looks += 1;
        if looks.is_multiple_of(4) {
            cuts += scene.database.cut();
        }
        // It is asked through connections that are cut.
        let (status, shown) = api.ask("GET", &format!("/api/v1/jobs/{job}"), b"");
        assert!(matches!(status, 200 | 503), "{status} {shown}");
        if shown["job"]["close"].is_object() {
            break shown["job"].clone();
        }
        assert!(began.elapsed() < RECOVERY, "not ended after {RECOVERY:?} and {cuts} cuts: {shown}");
        between_looks();
    };

    eprintln!("the job ended after {:.1} s and {cuts} cuts", began.elapsed().as_secs_f64());
    assert!(cuts > 20, "{cuts}");
    scene.is_whole(&job, &ended, 24);
    // A claim whose commit nobody heard of costs a lease, a result URL whose commit failed is stored again: no call is lost.
    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (24, 0));
}
