//! Endpoints that are away: no call reaches them, so nothing was paid, and no execution has failed by it (S9, C3).

use std::{sync::Arc, time::Duration};

use beacon_domain::{Batching, EndpointInfo, ErrorCode, ExecutionState, JobState};
use beacon_scheduler::Stop;
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;

use crate::bench::{Bench, Call, Script, WARM, answer, answers_after, endpoint, fail};

const SOON: Duration = Duration::from_millis(1);
const NS: u64 = 1_000_000_000;

fn info(limit: u32) -> EndpointInfo {
    EndpointInfo { limit, ..endpoint(Region::UsEast, "m") }
}

/// Refuses connections for so long, counted from the bench's beginning.
fn away_for(bench: &Bench, outage: Duration, code: ErrorCode) -> Script {
    let clock = Arc::clone(&bench.ports.clock);
    Arc::new(
        move |call: &Call| if clock.monotonic().0 < outage { fail(SOON, code) } else { answer(WARM, call) },
    )
}

fn away(outage: Duration, code: ErrorCode, limit: u32) -> Bench {
    let bench = Bench::new();
    let script = away_for(&bench, outage, code);
    bench.endpoint(info(limit), script)
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_of_an_endpoint_fails_no_execution_and_is_probed_by_few_calls() {
    let outage = Duration::from_secs(300);
    for code in
        [ErrorCode::ConnectRefused, ErrorCode::DnsFailed, ErrorCode::TlsFailed, ErrorCode::EndpointStopped]
    {
        let bench = away(outage, code, 4);
        let job = bench.submit(&SpecBuilder::new("outage").question_count(20), Batching::Endpoint).await;

        let ended = bench.run(job).await;

        assert_eq!((ended.state, ended.counts.completed), (JobState::Completed, 20), "{code}");
        let during = bench.seen().iter().filter(|call| call.at < outage).count();
        assert!((5..20).contains(&during), "{code}: {during} calls while it was away");
        let first = bench.seen().iter().find(|call| call.at >= outage).unwrap().at;
        assert!(first < outage + Duration::from_secs(60), "{code}: tried again after {first:?}");
        assert!(ended.makespan().unwrap() < outage + Duration::from_secs(130), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_middle_of_a_wide_endpoint_is_over_as_soon_as_it_is() {
    let bench = away(Duration::from_secs(6), ErrorCode::ConnectRefused, 64);
    let job = bench.submit(&SpecBuilder::new("wide").question_count(64), Batching::Endpoint).await;

    let ended = bench.run(job).await;

    assert_eq!(ended.counts.completed, 64);
    let took = ended.makespan().unwrap();
    assert!(took < Duration::from_secs(25), "64 refusals at once make no longer pause than 5: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_comes_back_ends_its_executions_with_its_error() {
    let bench = away(Duration::MAX, ErrorCode::ConnectRefused, 4)
        .endpoint(endpoint(Region::EuWest, "m"), answers_after(WARM));
    let spec = SpecBuilder::new("gone").question_count(3).regions(&["US", "EU"]);
    let job = bench.submit(&spec, Batching::Endpoint).await;

    let ended = bench.run(job).await;

    assert_eq!((ended.state, ended.counts.completed), (JobState::CompletedWithFailures, 3));
    for record in bench.records(job).await.iter().filter(|record| record.cell.region == Region::UsEast) {
        assert_eq!(record.cell.state, ExecutionState::Failed);
        assert_eq!(record.error.as_ref().unwrap().code, ErrorCode::ConnectRefused);
        assert!(record.receipt.as_ref().unwrap().verify().is_ok());
    }
    let (took, patience) = (ended.makespan().unwrap(), bench.options.retry.unreachable);
    assert!(took > patience && took < patience * 2, "it was waited for: {took:?}");
}

// S7
#[tokio::test(start_paused = true)]
async fn a_jobs_deadline_ends_what_waits_for_an_endpoint_and_the_failure_names_it() {
    let bench = away(Duration::MAX, ErrorCode::DnsFailed, 1);
    let spec = SpecBuilder::new("deadline").constraint("timeout", 90 * NS).constraint("provider_timeout", NS);
    let job = bench.submit(&spec, Batching::Question).await;

    let ended = bench.run(job).await;

    assert!(ended.ended_at.unwrap() <= ended.deadline + Duration::from_secs(5), "{ended:?}");
    assert_eq!(ended.counts.completed, 0);
    let failures = bench.ports.view.failures(job).await.unwrap();
    assert_eq!((failures.len(), failures[0].code), (1, ErrorCode::DnsFailed), "{failures:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_reaches_nothing_takes_no_execution_from_one_that_does() {
    let bench = Bench::new().endpoint(info(2), answers_after(WARM * 60));
    let mut blind = bench.clone();
    blind.ports.backends.clear();
    let nothing: Script = Arc::new(|_: &Call| fail(SOON, ErrorCode::ConnectRefused));
    let blind = blind.endpoint(info(2), nothing);
    let job = bench.submit(&SpecBuilder::new("two").question_count(60), Batching::Endpoint).await;
    let stop = Stop::new();
    let seeing = bench.scheduler("seeing");
    let working = async {
        let ended = seeing.run_job(job, Stop::new()).await.unwrap();
        stop.drain();
        ended
    };

    let (ended, ()) = tokio::join!(working, blind.work(stop.clone()));

    assert_eq!((ended.state, ended.counts.completed), (JobState::Completed, 60));
    assert!(ended.makespan().unwrap() > bench.options.retry.unreachable * 2, "longer than its patience");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_yesterday_does_not_shorten_the_patience_of_today() {
    let (day, minute) = (Duration::from_secs(24 * 3600), Duration::from_secs(60));
    let bench = Bench::new();
    let clock = Arc::clone(&bench.ports.clock);
    let script = move |call: &Call| {
        let now = clock.monotonic().0;
        let is_away = now < minute || (day..day + minute).contains(&now);
        if is_away { fail(SOON, ErrorCode::ConnectRefused) } else { answer(WARM, call) }
    };
    let bench = bench.endpoint(info(1), Arc::new(script));
    let short =
        SpecBuilder::new("yesterday").constraint("timeout", 30 * NS).constraint("provider_timeout", NS);
    bench.submit(&short, Batching::Question).await;
    let stop = Stop::new();
    let today = async {
        tokio::time::sleep(day).await;
        let job = bench.submit(&SpecBuilder::new("today"), Batching::Question).await;
        tokio::time::sleep(minute * 5).await;
        stop.drain();
        bench.job(job).await
    };

    let ((), today) = tokio::join!(bench.work(stop.clone()), today);

    assert_eq!(today.state, JobState::Completed, "{today:?}");
}

// S9, A6
#[tokio::test(start_paused = true)]
async fn a_scheduler_tells_which_endpoints_keep_failing_and_since_when() {
    let outage = Duration::from_secs(100);
    let bench = away(outage, ErrorCode::ConnectRefused, 1);
    let job = bench.submit(&SpecBuilder::new("told").question_count(8), Batching::Endpoint).await;
    let scheduler = bench.scheduler("w");
    let outages = scheduler.outages();
    let looking = async {
        tokio::time::sleep(outage / 2).await;
        outages.all()
    };

    let (ended, during) = tokio::join!(scheduler.run_job(job, Stop::new()), looking);

    assert_eq!(ended.unwrap().state, JobState::Completed);
    let [outage] = during.as_slice() else { panic!("{during:?}") };
    assert_eq!((outage.endpoint.as_str(), outage.error), ("us-east/m", ErrorCode::ConnectRefused));
    assert!(scheduler.outages().all().is_empty(), "it is over");
}
