//! Every route of the client against a served API.

use std::sync::Arc;

use beacon_client::{Client, ClientError, ClientOptions, Include, JobsQuery, ResultsFormat, Unserved};
use beacon_domain::{DeliveryState, JobState};
use beacon_spec::{RecordsCheck, Sha256Digest};
use beacon_testkit::SpecBuilder;
use serde_json::Value;

use crate::{
    desk::{Desk, TOKEN},
    scene::Scene,
    served::{Served, client},
};

fn code(error: &ClientError) -> (u16, &str) {
    let refusal = error.refusal().unwrap_or_else(|| panic!("no refusal: {error}"));
    assert!(!refusal.request_id.is_empty() && !refusal.message.is_empty(), "{refusal:?}");
    (refusal.status.as_u16(), &refusal.code)
}

#[tokio::test]
async fn a_submission_is_answered_and_the_same_bytes_change_nothing() {
    let desk = Desk::new();
    let served = Served::start(desk.router()).await;
    let client = client(served.addr, None, &desk.clock);
    let bytes = desk.signed(&SpecBuilder::new("once").regions(&["US", "EU"]));

    let first = client.submit(bytes.clone(), Unserved::Refuse).await.unwrap();
    let again = client.submit(bytes, Unserved::Refuse).await.unwrap();
    let other = desk.signed(&SpecBuilder::new("once").regions(&["US"]));
    let taken = client.submit(other, Unserved::Refuse).await.unwrap_err();
    let nothing = client.submit("<job>", Unserved::Refuse).await.unwrap_err();

    assert_eq!((first.executions, first.idempotent, first.state), (2, false, JobState::Queued));
    assert_eq!((again.job_id, again.idempotent), (first.job_id, true));
    assert_eq!(code(&taken), (409, "job_exists"));
    assert_eq!(taken.refusal().unwrap().job, Some(first.job_id));
    assert_eq!(code(&nothing), (400, "invalid_json"));
    assert!(!taken.may_pass() && !nothing.may_pass());
}

// A1
#[tokio::test]
async fn a_key_signs_what_steers_and_nothing_else_is_needed() {
    let desk = Desk::new();
    let served = Served::start(desk.router()).await;
    let nobody = client(served.addr, None, &desk.clock);
    let options = ClientOptions {
        key: Some(beacon_testkit::test_key()),
        ..ClientOptions::new(format!("http://{}", served.addr).parse().unwrap())
    };
    let signer = Client::new(options, Arc::new(desk.clock.clone())).unwrap();
    let bytes = desk.signed(&SpecBuilder::new("partly").models(&["m", "unserved"]));

    let refused = nobody.submit(bytes.clone(), Unserved::Accept).await.unwrap_err();
    let accepted = signer.submit(bytes, Unserved::Accept).await.unwrap();
    let job = accepted.job_id;
    let paused = signer.pause(job).await.unwrap();
    let resumed = signer.resume(job).await.unwrap();
    let stranger = nobody.cancel(job).await.unwrap_err();
    let cancelled = signer.cancel(job).await.unwrap();

    assert_eq!(code(&refused), (401, "token_required"));
    assert_eq!((accepted.executions, accepted.idempotent), (2, false));
    assert_eq!((paused.paused.unwrap().by, resumed.changed), ("key test".to_owned(), true));
    assert_eq!(code(&stranger), (401, "token_required"));
    assert_eq!((cancelled.state, cancelled.cancelled_waiting), (JobState::Cancelled, 1));
}

#[tokio::test]
async fn what_is_shown_of_a_job_is_typed() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;
    let served = Served::start(desk.router()).await;
    let client = client(served.addr, None, &desk.clock);

    let listed = client.jobs(&JobsQuery { limit: Some(1), ..JobsQuery::default() }).await.unwrap();
    let named = JobsQuery { name: Some("ended".to_owned()), ..JobsQuery::default() };
    let named = client.jobs(&named).await.unwrap();
    let strange = JobsQuery { name: Some("a b&limit=x".to_owned()), ..JobsQuery::default() };
    let job = client.job(scene.running, Include::EndpointsAndFailures).await.unwrap();
    let plain = client.job(scene.running, Include::Nothing).await.unwrap();
    let matrix = client.matrix(scene.running).await.unwrap();
    let executions = client.executions(scene.running, None).await.unwrap();
    let waiting = client.explain(scene.running, None).await.unwrap();
    let told = client.deliveries(scene.ended, None).await.unwrap();

    assert_eq!((listed.jobs[0].id, listed.next.is_some()), (scene.running, true));
    assert_eq!((named.jobs[0].id, named.jobs.len()), (scene.ended, 1));
    assert!(client.jobs(&strange).await.unwrap().jobs.is_empty());
    assert_eq!(job.job, desk.view.job(scene.running).await.unwrap().unwrap());
    assert_eq!((job.batches.len(), job.endpoints.len(), job.failures.len()), (2, 2, 1));
    assert_eq!((plain.endpoints.len(), plain.failures.len()), (0, 0));
    assert_eq!((matrix.job_id, matrix.cells.len(), executions.executions.len()), (scene.running, 4, 4));
    assert_eq!(executions.executions[3].cell, matrix.cells[3]);
    assert_eq!(waiting.waiting[0].waits_for, "retry");
    let states: Vec<_> = told.deliveries.iter().map(|told| (told.origin.as_str(), told.state)).collect();
    let (sent, waits) = (DeliveryState::Delivered, DeliveryState::Pending);
    assert_eq!(states, [("https://hook.example", sent), ("https://other.example:8443", waits)]);
}

#[tokio::test]
async fn results_and_signed_records_are_written_as_they_come() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;
    let served = Served::start(desk.router()).await;
    let client = client(served.addr, None, &desk.clock);
    let (mut lines, mut csv, mut parquet, mut receipts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());

    let written = client.results(scene.ended, ResultsFormat::Jsonl, &mut lines).await.unwrap();
    client.results(scene.ended, ResultsFormat::Csv, &mut csv).await.unwrap();
    client.results(scene.ended, ResultsFormat::Parquet, &mut parquet).await.unwrap();
    client.receipts(scene.ended, &mut receipts).await.unwrap();
    let close = client.close(scene.ended).await.unwrap();
    let open = client.close(scene.running).await.unwrap_err();

    assert_eq!(written as usize, lines.len());
    let rows: Vec<Value> =
        lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!((rows.len(), &rows[0]["state"]), (2, &"completed".into()));
    assert_eq!(csv.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 3);
    assert!(parquet.starts_with(b"PAR1"));
    let digest: Sha256Digest = desk.view.job(scene.ended).await.unwrap().unwrap().spec_digest;
    let mut check = RecordsCheck::new().about(digest);
    receipts.split_inclusive(|byte| *byte == b'\n').for_each(|line| check.push(line));
    let report = check.finish();
    assert_eq!((report.receipts, report.close.as_ref()), (2, Some(&close)));
    assert_eq!(code(&open), (404, "not_closed"));
}

#[tokio::test]
async fn a_cancel_needs_the_token_and_its_refusal_does_not_show_it() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;
    let served = Served::start(desk.router()).await;
    let wrong = "wrong-token-0123456789abcdef0123456789ab";

    let nobody = client(served.addr, None, &desk.clock).cancel(scene.running).await.unwrap_err();
    let stranger = client(served.addr, Some(wrong), &desk.clock).cancel(scene.running).await.unwrap_err();
    let operator = client(served.addr, Some(TOKEN), &desk.clock);
    let cancelled = operator.cancel(scene.running).await.unwrap();
    let again = operator.cancel(scene.running).await.unwrap();
    let none = operator.cancel("00000000000000000000000000000000".parse().unwrap()).await.unwrap_err();

    assert_eq!(code(&nobody), (401, "token_required"));
    assert_eq!(stranger.refusal().unwrap().code, "wrong_token");
    assert!(!format!("{stranger} {stranger:?}").contains(wrong));
    assert_eq!((cancelled.state, cancelled.already_ended), (JobState::Cancelled, false));
    assert_eq!((cancelled.cancelled_waiting, cancelled.cancelled_in_flight), (1, 1));
    assert!(again.already_ended);
    assert_eq!(code(&none), (404, "job_not_found"));
}
