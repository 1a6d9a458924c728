//! `kill -9` of a worker at each step of its calls; another worker ends the job (L9, C2).

use super::{Scene, until};

/// Answers after a result URL or two.
const FOUND_AGAIN: &str = "warm = { fixed_s = 0.8 }\nwindow_s = 0.3\nwhen_full = \"reject\"";
/// Answers in the one exchange: such a call cannot be found again.
const NOT_FOUND_AGAIN: &str = "warm = { fixed_s = 0.8 }\nwhen_full = \"reject\"";

const STORED: &str = "SELECT count(*) FROM beacon.executions WHERE resume IS NOT NULL";
const RESULTS: &str = "SELECT count(*) FROM beacon.results";

#[test]
fn a_worker_killed_after_the_claim_and_before_the_call_costs_no_call() {
    let scene = Scene::new(NOT_FOUND_AGAIN);
    scene.calls.hold_requests();
    let first = scene.worker();
    let job = scene.submit(2, 1);
    until(|| scene.calls.held_requests() == 6);

    first.process.kill();
    scene.calls.cut();
    scene.calls.go_on();
    let _second = scene.worker();
    scene.ends_whole(&job, 12);

    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (12, 0));
}

// The price of an endpoint without call ids: nobody can tell what became of these six.
#[test]
fn a_worker_killed_after_the_post_costs_that_call_once_more_and_no_other() {
    let scene = Scene::new(NOT_FOUND_AGAIN);
    let first = scene.worker();
    let job = scene.submit(2, 1);
    scene.simulator.reaches("in_flight", 6);

    first.process.kill();
    let _second = scene.worker();
    scene.ends_whole(&job, 12);

    // Their work was over before their leases were, so that no endpoint met two.
    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (12 + 6, 0));
}

#[test]
fn a_worker_that_could_not_store_its_result_urls_has_not_asked_them() {
    let scene = Scene::new(FOUND_AGAIN);
    scene.database.hold_requests_from(&["lease::checkpoint"]);
    let first = scene.worker_through_proxy();
    let job = scene.submit(2, 1);
    until(|| scene.database.held_requests() > 0);
    scene.simulator.reaches("redirects", 6);
    // Long enough for anybody who would not wait to ask for them.
    until(|| scene.simulator.count("in_flight") == 0);
    let (stored, asked) = (scene.counts(STORED), scene.simulator.count("result_url_reads"));

    first.process.kill();
    scene.database.cut();
    scene.database.go_on();
    let _second = scene.worker();
    scene.ends_whole(&job, 12);

    assert_eq!((stored, asked), (0, 0));
    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (12 + 6, 0));
}

#[test]
fn a_result_url_whose_commit_the_worker_never_heard_of_is_found_again() {
    let scene = Scene::new(FOUND_AGAIN);
    scene.database.hold_answers_from(&["lease::checkpoint", "COMMIT"]);
    let first = scene.worker_through_proxy();
    let job = scene.submit(2, 1);
    until(|| scene.database.held_answers() > 0 && scene.counts(STORED) > 0);
    scene.simulator.reaches("redirects", 6);
    until(|| scene.simulator.count("in_flight") == 0);
    let stored = scene.counts(STORED);

    first.process.kill();
    scene.database.cut();
    scene.database.go_on();
    let _second = scene.worker();
    scene.ends_whole(&job, 12);

    assert_eq!(scene.simulator.count("calls"), 12 + 6 - stored, "{stored} of 6 were stored");
    assert_eq!(scene.simulator.count("rejected"), 0);
}

#[test]
fn a_worker_killed_before_the_commit_of_its_answers_costs_no_call_that_can_be_found_again() {
    let scene = Scene::new(FOUND_AGAIN);
    scene.database.hold_requests_from(&["record::take"]);
    let first = scene.worker_through_proxy();
    let job = scene.submit(2, 1);
    until(|| scene.database.held_requests() > 0 && scene.simulator.count("in_flight") == 0);
    let recorded = scene.counts(RESULTS);

    first.process.kill();
    scene.database.cut();
    scene.database.go_on();
    let _second = scene.worker();
    scene.ends_whole(&job, 12);

    assert_eq!(recorded, 0, "killed before");
    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (12, 0));
}

#[test]
fn a_worker_killed_after_the_commit_of_its_answers_leaves_them_recorded() {
    let scene = Scene::new(FOUND_AGAIN);
    scene.database.hold_answers_from(&["result::write", "COMMIT"]);
    let first = scene.worker_through_proxy();
    let job = scene.submit(2, 1);
    until(|| scene.database.held_answers() > 0 && scene.counts(RESULTS) > 0);
    let recorded = scene.sql("SELECT job, n, receipt_hash FROM beacon.results ORDER BY n");

    first.process.kill();
    scene.database.cut();
    scene.database.go_on();
    let _second = scene.worker();
    scene.ends_whole(&job, 12);

    let after = scene.sql("SELECT job, n, receipt_hash FROM beacon.results ORDER BY n");
    assert!(recorded.lines().all(|line| after.contains(line)), "{recorded}\n\n{after}");
    assert_eq!((scene.simulator.count("calls"), scene.simulator.count("rejected")), (12, 0));
}
