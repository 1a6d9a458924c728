//! The board: pages that filters pick from, what is recent, and how endpoints stand.

use std::time::Duration;

use beacon_domain::{
    Batching, Board, CellFilter, CellView, EndpointId, EndpointLatency, ExecutionState, JobFilter, JobId,
    Recording, StoreError,
};
use beacon_spec::{KeyId, ModelId, Region};

use super::{Scene, Store};
use crate::{SpecBuilder, completed, failed, retry};

async fn listed<S: Store + Board>(scene: &Scene<S>, job: JobId, filter: CellFilter) -> Vec<CellView> {
    let page = scene.store.cells(job, filter).await.unwrap();
    assert_eq!(page.next, None, "{page:?}");
    page.items
}

async fn grid<S: Store + Board>(scene: &Scene<S>) -> JobId {
    let spec = SpecBuilder::new("grid").questions(&["one", "two"]).models(&["m", "n", "nobody"]);
    let job = scene.accept(spec.regions(&["US", "EU"]).verified(), Batching::Question).await;
    let leases = scene.claim(&["us-east/m", "eu-west/n"], 1).await.leases;
    scene.record(completed(&leases[0], scene.now())).await;
    job
}

/// A3: pages follow the plan, and together they are the matrix.
pub async fn pages_of_cells_are_the_matrix<S: Store + Board>(scene: Scene<S>) {
    let job = grid(&scene).await;

    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let filter = CellFilter { after, limit: 5, ..CellFilter::default() };
        let page = scene.store.cells(job, filter).await.unwrap();
        paged.extend(page.items);
        let Some(next) = page.next else { break };
        after = Some(next.parse().unwrap());
    }

    assert_eq!(paged, scene.cells(job).await);
    assert_eq!(paged.len(), 12);
    assert!(paged.iter().all(|cell| cell.started_at.is_some() == (cell.attempts > 0)), "{paged:?}");
}

/// A filter picks by state, question, model, region and endpoint, and by several of them at once.
pub async fn a_filter_picks_cells_along_every_axis<S: Store + Board>(scene: Scene<S>) {
    let job = grid(&scene).await;
    let cells = scene.cells(job).await;
    let (m, one) = (ModelId::new("m").unwrap(), cells[0].question.clone());
    let two = cells[11].question.clone();
    let of = CellFilter::default;

    for filter in [
        CellFilter { states: vec![ExecutionState::Blocked, ExecutionState::Completed], ..of() },
        CellFilter { question: Some(two), ..of() },
        CellFilter { model: Some(m.clone()), ..of() },
        CellFilter { region: Some(Region::EuWest), ..of() },
        CellFilter { endpoint: Some(EndpointId::new("us-east/m")), ..of() },
        CellFilter { question: Some(one), model: Some(m), region: Some(Region::UsEast), ..of() },
    ] {
        let expected: Vec<_> = cells.iter().filter(|cell| filter.wants(cell)).cloned().collect();
        assert!((1..12).contains(&expected.len()), "{filter:?}");
        assert_eq!(listed(&scene, job, filter.clone()).await, expected, "{filter:?}");
    }
}

/// What a job does not have is an empty page; a job that is not there is an error.
pub async fn what_a_job_does_not_have_is_an_empty_page<S: Store + Board>(scene: Scene<S>) {
    let job = grid(&scene).await;
    let nobody = JobId::from_bytes([9; 16]);
    let of = CellFilter::default;

    for filter in [
        CellFilter { question: Some(beacon_spec::QuestionId::new("three").unwrap()), ..of() },
        CellFilter { model: Some(ModelId::new("other").unwrap()), ..of() },
        CellFilter { endpoint: Some(EndpointId::new("other")), ..of() },
        CellFilter { after: Some(11), ..of() },
        CellFilter { after: Some(u32::MAX), ..of() },
    ] {
        assert!(listed(&scene, job, filter.clone()).await.is_empty(), "{filter:?}");
    }
    let cells = scene.store.cells(nobody, of()).await;
    assert!(matches!(cells, Err(StoreError::UnknownJob(_))), "{cells:?}");
    let batches = scene.store.batches(nobody).await;
    assert!(matches!(batches, Err(StoreError::UnknownJob(_))), "{batches:?}");
}

/// The batches alone are those of the whole progress.
pub async fn batches_are_those_of_the_progress<S: Store + Board>(scene: Scene<S>) {
    let job = grid(&scene).await;

    let batches = scene.store.batches(job).await.unwrap();

    assert_eq!(batches, scene.store.progress(job, scene.now()).await.unwrap().batches);
    assert_eq!(batches.len(), 2);
}

/// The newest job's executions come first, page by page over the border between jobs.
pub async fn recent_executions_come_from_the_newest_job_on<S: Store + Board>(scene: Scene<S>) {
    let mut expected = Vec::new();
    for name in ["first", "second"] {
        let spec = SpecBuilder::new(name).question_count(3).verified();
        let job = scene.accept(spec, Batching::Endpoint).await;
        expected.splice(0..0, (0..3).rev().map(|n| (job, n)));
    }

    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = scene.store.recent(cursor, 4).await.unwrap();
        found.extend(page.items.iter().map(|line| (line.id.job, line.id.n)));
        assert!(page.items.iter().all(|line| line.id.n == line.cell.n), "{page:?}");
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }

    assert_eq!(found, expected);
}

/// S11: an endpoint tells what runs on it and what waits for it, over all jobs.
pub async fn endpoints_tell_what_runs_and_what_waits<S: Store + Board>(scene: Scene<S>) {
    for name in ["first", "second"] {
        let spec = SpecBuilder::new(name).question_count(2).models(&["m", "n"]).verified();
        scene.accept(spec, Batching::Endpoint).await;
    }
    scene.claim(&["us-east/m"], 3).await;

    let endpoints = scene.store.endpoints(scene.now()).await.unwrap();

    let rows: Vec<_> = endpoints
        .iter()
        .map(|status| (status.endpoint.as_str(), status.limit, status.in_flight, status.waiting))
        .collect();
    assert_eq!(rows, [("us-east/m", Some(3), 3, 1), ("us-east/n", None, 0, 4)]);
    assert!(endpoints[0].gate.is_some() && endpoints[1].gate.is_none(), "{endpoints:?}");
}

/// The latency of an endpoint is that of its answers; failures and tries that were not the last are none.
pub async fn latencies_are_those_of_answers<S: Store + Board>(scene: Scene<S>) {
    let spec = SpecBuilder::new("job").question_count(3).regions(&["US", "EU"]);
    scene.accept(spec.verified(), Batching::Endpoint).await;
    assert_eq!(scene.store.latencies().await.unwrap(), []);
    let took = |mut recording: Recording, seconds: u64| {
        recording.attempt.duration = Duration::from_secs(seconds);
        recording
    };
    let us = scene.claim(&["us-east/m"], 3).await.leases;
    scene.record(took(retry(&us[0], scene.now(), scene.now()), 50)).await;
    scene.record(took(completed(&us[1], scene.now()), 3)).await;
    scene.record(took(completed(&us[2], scene.now()), 7)).await;
    let again = scene.claim(&["us-east/m"], 1).await.leases;
    scene.record(took(completed(&again[0], scene.now()), 5)).await;
    let eu = scene.claim(&["eu-west/m"], 1).await.leases;
    scene.record(took(failed(&eu[0], scene.now()), 9)).await;

    let latencies = scene.store.latencies().await.unwrap();

    let of = |latency: &EndpointLatency| (latency.endpoint.to_string(), latency.answers, latency.median);
    let shown: Vec<_> = latencies.iter().map(of).collect();
    assert_eq!(shown, [("us-east/m".to_owned(), 3, Duration::from_secs(5))]);
}

/// A3: jobs can be listed by the key that signed them.
pub async fn jobs_are_listed_by_key<S: Store + Board>(scene: Scene<S>) {
    let ours = scene.accept(SpecBuilder::new("ours").verified(), Batching::Question).await;
    let spec = SpecBuilder::new("theirs").key("other", 1, 1).verified();
    let theirs = scene.accept(spec, Batching::Question).await;
    let of_key = async |key: &str| {
        let filter = JobFilter { key: Some(KeyId::new(key).unwrap()), ..JobFilter::default() };
        let page = scene.store.jobs(filter).await.unwrap();
        page.items.iter().map(|job| job.id).collect::<Vec<_>>()
    };

    assert_eq!(of_key("test").await, [ours]);
    assert_eq!(of_key("other").await, [theirs]);
    assert!(of_key("nobody").await.is_empty());
}
