//! Limits of endpoints, accounts and the whole, fixed and adapting (S1, S10).

use std::sync::Arc;

use beacon_domain::{AccountId, Batching, CallError, ErrorCode, JobState, Stage};
use beacon_scheduler::Stop;
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, Reply, WARM, answer, answers_after, endpoint};

// S1
#[tokio::test(start_paused = true)]
async fn an_endpoint_never_has_more_calls_in_flight_than_its_limit_over_all_jobs_and_workers() {
    let mut info = endpoint(Region::UsEast, "m");
    info.limit = 3;
    let bench = Bench::new().endpoint(info, answers_after(WARM));
    let mut jobs = Vec::new();
    for name in ["a", "b", "c"] {
        jobs.push(bench.submit(&SpecBuilder::new(name).question_count(7), Batching::Endpoint).await);
    }
    let [one, two, three] = ["one", "two", "three"].map(|name| bench.scheduler(name));

    let ended = tokio::join!(
        one.run_job(jobs[0], Stop::new()),
        two.run_job(jobs[1], Stop::new()),
        three.run_job(jobs[2], Stop::new())
    );

    for job in [ended.0, ended.1, ended.2] {
        assert_eq!(job.unwrap().state, JobState::Completed);
    }
    assert_eq!(bench.most_in_flight()["us-east/m"], 3);
    assert_eq!(bench.seen().len(), 21);
}

// S1
#[tokio::test(start_paused = true)]
async fn the_endpoints_of_an_account_share_its_limit_and_all_have_their_turn() {
    let account = AccountId::new("gpu");
    let mut bench = Bench::new();
    for model in ["m", "n", "o"] {
        let mut info = endpoint(Region::UsEast, model);
        info.account = Some(account.clone());
        bench = bench.endpoint(info, answers_after(WARM));
    }
    bench.options.account_limits.insert(account, 2);
    let spec = SpecBuilder::new("account").question_count(4).models(&["m", "n", "o"]);
    let job = bench.submit(&spec, Batching::Endpoint).await;

    let ended = bench.run(job).await;

    let seen = bench.seen();
    let at_once = |call: &crate::bench::Seen| {
        seen.iter().filter(|other| other.at <= call.at && other.ended.unwrap() > call.at).count()
    };
    assert_eq!(seen.iter().map(at_once).max(), Some(2));
    assert_eq!(ended.makespan().unwrap(), WARM * 6, "two at a time, all the time");
    let half: Vec<_> = seen[..6].iter().map(|call| call.request.model.as_str()).collect();
    for model in ["m", "n", "o"] {
        assert!(half.contains(&model), "{model} had no turn in the first half: {half:?}");
    }
}

// S1
#[tokio::test(start_paused = true)]
async fn the_global_limit_and_the_slots_of_a_worker_bound_the_whole() {
    for (global_limit, slots) in [(Some(2), 1024), (None, 2)] {
        let mut info = endpoint(Region::UsEast, "m");
        info.limit = 8;
        let mut bench = Bench::new().endpoint(info, answers_after(WARM));
        bench.options.global_limit = global_limit;
        bench.options.slots = slots;
        let job = bench.submit(&SpecBuilder::new("whole").question_count(6), Batching::Endpoint).await;

        bench.run(job).await;

        assert_eq!(bench.most_in_flight()["us-east/m"], 2);
    }
}

// S10
#[tokio::test(start_paused = true)]
async fn an_adapting_limit_grows_while_it_is_answered_and_halves_when_it_is_not() {
    let mut info = endpoint(Region::UsEast, "m");
    info.limit = 64;
    info.adaptive = Some((1, 8));
    // The endpoint has room for 4; whoever comes above it is sent away.
    let bench = Bench::new();
    let running = Arc::new(std::sync::Mutex::new(0_i32));
    let script = Arc::new(move |call: &crate::bench::Call| {
        let mut running = running.lock().unwrap();
        *running += 1;
        let (running, number) = (*running, call.number);
        if running > 4 && number.is_multiple_of(5) {
            let error = CallError::new(ErrorCode::Overloaded, Stage::Request, "full");
            return Reply::Fail(WARM, error);
        }
        answer(WARM, call)
    });
    let bench = bench.endpoint(info, script);
    let job = bench.submit(&SpecBuilder::new("adapts").question_count(40), Batching::Endpoint).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.state, JobState::Completed);
    let most = bench.most_in_flight()["us-east/m"];
    assert!((2..=8).contains(&most), "{most}");
    assert_eq!(bench.seen().iter().filter(|call| call.at < WARM).count(), 1, "it starts at its floor");
}
