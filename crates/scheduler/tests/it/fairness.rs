//! Who gets the slots of a shared endpoint (S4).

use beacon_domain::{Batching, JobState};
use beacon_scheduler::Stop;
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, WARM, answers_after, endpoint};

fn small() -> SpecBuilder {
    SpecBuilder::new("small").question_count(10).key("second", 2, 1)
}

// S4
#[tokio::test(start_paused = true)]
async fn a_small_job_behind_a_large_one_of_another_key_takes_at_most_twice_its_time() {
    let mut info = endpoint(Region::UsEast, "m");
    info.limit = 2;
    let alone = Bench::new().endpoint(info.clone(), answers_after(WARM));
    let job = alone.submit(&small(), Batching::Endpoint).await;
    let idle = alone.run(job).await.makespan().unwrap();
    let bench = Bench::new().endpoint(info, answers_after(WARM));
    let large = SpecBuilder::new("large").question_count(1000).key("first", 1, 1);
    bench.submit(&large, Batching::Endpoint).await;
    let job = bench.submit(&small(), Batching::Endpoint).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    let waited = ended.ended_at.unwrap().duration_since(ended.accepted_at).unsigned_abs();
    assert!(waited <= idle * 2, "{waited:?} against {idle:?} on an idle endpoint");
}

// S4
#[tokio::test(start_paused = true)]
async fn retries_of_one_job_do_not_starve_another_one() {
    let script = |call: &crate::bench::Call| {
        if call.request.prompt.starts_with("What is number") && call.request.sampling.max_tokens == 500 {
            return crate::bench::answer(WARM, call);
        }
        crate::bench::fail(WARM, beacon_domain::ErrorCode::Throttled)
    };
    let mut bench = Bench::new().endpoint(endpoint(Region::UsEast, "m"), std::sync::Arc::new(script));
    bench.options.retry.max_throttles = 5;
    let stuck = SpecBuilder::new("stuck").questions(&["a", "b", "c", "d", "e", "f"]).key("first", 1, 1);
    bench.submit(&stuck, Batching::Endpoint).await;
    let job = bench.submit(&small(), Batching::Endpoint).await;

    let ended = bench.scheduler("w").run_job(job, Stop::new()).await.unwrap();

    let waited = ended.ended_at.unwrap().duration_since(ended.accepted_at).as_secs();
    assert_eq!(ended.state, JobState::Completed);
    assert!(waited <= 20, "ten answers of a second, shared with one other key: {waited} s");
}
