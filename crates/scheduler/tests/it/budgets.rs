//! What a job and a day may cost (O3).

use std::{sync::Arc, time::Duration};

use beacon_domain::{Answer, Batching, DayBudget, EndReason, ErrorCode, JobState, Usage, WaitReason};
use beacon_scheduler::Stop;
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, Call, Reply, WARM, endpoint};

/// Each answer says that it took 2 s, at 164 millionths of a dollar per second.
fn priced() -> Bench {
    let mut info = endpoint(Region::UsEast, "m");
    info.price_micros_per_s = 164;
    let script = |_: &Call| {
        let usage = Usage { provider_time: Some(Duration::from_secs(2)), ..Usage::default() };
        Reply::Answer(WARM, Answer { usage, ..Answer::of_text("yes") })
    };
    Bench::new().endpoint(info, Arc::new(script))
}

// O3
#[tokio::test(start_paused = true)]
async fn cost_is_the_providers_time_at_the_endpoints_price() {
    let bench = priced();
    let job = bench.submit(&SpecBuilder::new("cost").question_count(3), Batching::Question).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.cost_micros, 3 * 328);
    let record = bench.records(job).await.remove(0);
    assert_eq!(record.attempts[0].usage.cost_micros, Some(328));
    assert_eq!(record.receipt.unwrap().body.cost_micros, Some(328));
}

// O3
#[tokio::test(start_paused = true)]
async fn a_job_stops_at_its_cap_and_says_so() {
    let bench = priced();
    // 700 millionths of a dollar: two answers are below it, three are not.
    let spec = SpecBuilder::new("cap").question_count(9).constraint("max_cost", 0.0007);
    let job = bench.submit(&spec, Batching::Question).await;

    let ended = bench.run(job).await;

    assert_eq!(bench.seen().len(), 3);
    assert_eq!((ended.state, ended.reason), (JobState::CompletedWithFailures, Some(EndReason::Budget)));
    assert_eq!((ended.counts.completed, ended.counts.cancelled), (3, 6));
    let error = bench.records(job).await.remove(8).error.unwrap();
    assert_eq!(error.code, ErrorCode::BudgetExhausted);
    assert!(ended.close.is_some());
}

// O3, S11
#[tokio::test(start_paused = true)]
async fn a_days_budget_holds_work_back_until_the_next_day_and_says_why() {
    let mut bench = priced();
    bench.options.day_budget = Some(DayBudget { cap_micros: 500 });
    bench.options.timeouts.job = Duration::from_secs(5 * 86_400);
    bench.options.timeouts.execution = Duration::from_secs(5 * 86_400);
    let job = bench.submit(&SpecBuilder::new("day").question_count(4), Batching::Endpoint).await;
    let stop = Stop::new();
    let look = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let today = bench.seen().len();
        let progress = bench.ports.view.progress(job, bench.ports.clock.now()).await.unwrap();
        let cell = bench.ports.view.matrix(job).await.unwrap().cells.remove(3);
        let why = WaitReason::of(&cell, progress.endpoints.first(), bench.ports.clock.now());
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        stop.drain();
        (today, why)
    };

    let ((), (today, why)) = tokio::join!(bench.work(stop.clone()), look);

    assert_eq!(today, 2);
    assert_eq!(why, Some(WaitReason::Limit { bound: beacon_domain::Bound::DayBudget }));
    assert_eq!(bench.seen().len(), 4);
    assert_eq!(bench.job(job).await.state, JobState::Completed);
}
