//! Views: what they show is what the rows say.

use beacon_domain::{Batching, ErrorCode, ExecutionState, JobFilter, JobState, StateCounts, StoreError};
use beacon_spec::JobName;

use super::{Scene, Store};
use crate::{SpecBuilder, completed, failed, retry};

/// A3: the newest job first, page by page, by name and by state.
pub async fn jobs_come_newest_first_in_pages<S: Store>(scene: Scene<S>) {
    let mut jobs = Vec::new();
    for n in 0..5 {
        jobs.push(scene.accept(SpecBuilder::new(&format!("job {n}")).verified(), Batching::Question).await);
    }
    scene.cancel(jobs[2]).await;
    let ids = async |filter: JobFilter| {
        let page = scene.store.jobs(filter).await.unwrap();
        (page.items.iter().map(|job| job.id).collect::<Vec<_>>(), page.next)
    };

    let (first, next) = ids(JobFilter { limit: 2, ..JobFilter::default() }).await;
    let (second, next) = ids(JobFilter { limit: 2, cursor: next, ..JobFilter::default() }).await;
    let (third, end) = ids(JobFilter { limit: 2, cursor: next, ..JobFilter::default() }).await;
    let paged = [first, second, third].concat();
    let named = JobFilter { name: Some(JobName::new("job 1").unwrap()), ..JobFilter::default() };
    let cancelled = JobFilter { state: Some(JobState::Cancelled), ..JobFilter::default() };

    assert_eq!(paged, jobs.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(end, None);
    assert_eq!(ids(named).await, (vec![jobs[1]], None));
    assert_eq!(ids(cancelled).await, (vec![jobs[2]], None));
}

/// S12, U1: progress by job, question and endpoint is the count of the matrix, at any moment.
pub async fn counts_equal_rows_along_every_axis<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("axes").questions(&["one", "two"]).models(&["m", "n", "nobody"]);
    let spec = spec.regions(&["US", "EU"]).verified();
    let job = scene.accept(spec, Batching::Endpoint).await;
    let leases = scene.claim(&["us-east/m", "eu-west/m", "us-east/n"], 2).await.leases;
    scene.record(completed(&leases[0], scene.now())).await;
    scene.record(failed(&leases[1], scene.now())).await;

    let progress = scene.store.progress(job, scene.now()).await.unwrap();
    let cells = scene.cells(job).await;

    let count = |wanted: &dyn Fn(&beacon_domain::CellView) -> bool| {
        let mut counts = StateCounts::default();
        cells.iter().filter(|cell| wanted(cell)).for_each(|cell| *counts.of_mut(cell.state) += 1);
        counts
    };
    assert_eq!(progress.job.counts, count(&|_| true));
    assert_eq!(progress.job.counts.of(ExecutionState::Unsupported), 4);
    assert_eq!(progress.batches.len(), 2);
    for batch in &progress.batches {
        assert_eq!(batch.counts, count(&|cell| cell.question == batch.question), "{}", batch.question);
    }
    assert_eq!(progress.endpoints.len(), 4);
    for view in &progress.endpoints {
        assert_eq!(view.counts, count(&|cell| cell.endpoint.as_ref() == Some(&view.endpoint)));
        assert_eq!(view.in_flight, view.counts.running, "{}", view.endpoint);
    }
}

/// A3: records and receipt leaves come in the order of the plan, page by page.
pub async fn records_come_in_the_order_of_the_plan_in_pages<S: Store>(scene: Scene<S>) {
    let job = scene.accept(SpecBuilder::new("pages").question_count(5).verified(), Batching::Endpoint).await;
    for lease in scene.take(4).await.iter().rev() {
        scene.record(completed(lease, scene.now())).await;
    }

    let first = scene.store.records(job, None, 3).await.unwrap();
    let second = scene.store.records(job, Some(first[2].id.n), 3).await.unwrap();
    let leaves = scene.store.receipt_leaves(job, None, 3).await.unwrap();
    let more = scene.store.receipt_leaves(job, Some(leaves[2].execution.n), 3).await.unwrap();

    let places: Vec<_> = first.iter().chain(&second).map(|record| record.id.n).collect();
    assert_eq!(places, [0, 1, 2, 3, 4]);
    assert_eq!(second[1].receipt, None);
    assert_eq!((leaves.len(), more.len(), more[0].execution.n), (3, 1, 3));
    assert_eq!(leaves[1].hash, first[1].receipt.as_ref().unwrap().hash());
}

/// U1: what failed is counted by endpoint and error, the most frequent first; what ran out of time between attempts is
/// counted under what its last attempt met.
pub async fn failures_are_counted_with_their_cause<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("fails").question_count(4).models(&["m", "n"]).verified();
    let job = scene.accept(spec, Batching::Endpoint).await;
    let leases = scene.claim(&["us-east/m", "us-east/n"], 4).await.leases;
    let (m, n): (Vec<_>, Vec<_>) = leases.iter().partition(|lease| lease.endpoint.as_str() == "us-east/m");
    scene.record(completed(m[0], scene.now())).await;
    scene.record(failed(m[1], scene.now())).await;
    for lease in &n[..3] {
        let mut tried = retry(lease, scene.now(), scene.now());
        tried.attempt.error.iter_mut().for_each(|error| error.code = ErrorCode::EndpointStopped);
        scene.record(tried).await;
    }
    scene.advance_s(3600);
    scene.reap().await;

    let failures = scene.store.failures(job).await.unwrap();

    let rows: Vec<_> = failures
        .iter()
        .map(|failure| {
            let endpoint = failure.endpoint.as_ref().unwrap().as_str();
            (endpoint, failure.state, failure.code, failure.executions)
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("us-east/n", ExecutionState::TimedOut, ErrorCode::EndpointStopped, 3),
            ("us-east/m", ExecutionState::TimedOut, ErrorCode::DeadlinePassed, 2),
            ("us-east/m", ExecutionState::Failed, ErrorCode::ConnectionLost, 1),
            ("us-east/n", ExecutionState::TimedOut, ErrorCode::DeadlinePassed, 1),
        ]
    );
    let unknown = scene.store.failures(beacon_domain::JobId::from_bytes([9; 16])).await;
    assert!(matches!(unknown, Err(StoreError::UnknownJob(_))), "{unknown:?}");
}
