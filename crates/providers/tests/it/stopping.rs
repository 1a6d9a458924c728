//! A stop token ends a call soon and closes its connection (S7).

use beacon_domain::{ErrorCode, Stage};
use beacon_testkit::{ManualClock, Script, ScriptedEndpoint, Step, Tap, reply};

use crate::support::{
    call::call,
    endpoints::{backend, modal, modal_answer},
};

async fn check(script: Script, requests: usize, stage: Stage) {
    let endpoint = ScriptedEndpoint::start(script).await;
    let call = call(&backend(&modal(&endpoint.url("/")), ManualClock::new()));
    let stop = call.context.stop.clone();
    let called = call.start();
    endpoint.wait_for_requests(requests).await;

    stop.cancel();
    let error = called.await.unwrap().unwrap_err();

    assert_eq!((error.code, error.stage), (ErrorCode::Cancelled, stage), "{error}");
    endpoint.wait_for_closed(1).await;
    assert_eq!(endpoint.requests().len(), requests, "nothing more is sent");
}

#[tokio::test]
async fn a_call_that_waits_for_its_answer_is_stopped() {
    check(Script::new().then(Step::Hang), 1, Stage::Request).await;
}

#[tokio::test]
async fn a_call_that_waits_on_a_result_url_is_stopped() {
    let pending = reply(303).location("?__modal_function_call_id=fc-1");

    check(Script::new().then(pending).then(Step::Hang), 2, Stage::ResultUrl).await;
}

#[tokio::test]
async fn a_call_that_reads_a_body_is_stopped() {
    let tap = Tap::new();
    let endpoint =
        ScriptedEndpoint::start(Script::new().then(reply(200).json(modal_answer()).dripping_from(&tap)))
            .await;
    let call = call(&backend(&modal(&endpoint.url("/")), ManualClock::new()));
    let stop = call.context.stop.clone();
    let called = call.start();
    endpoint.wait_for_requests(1).await;
    tap.let_through(5);
    tap.run_dry().await;

    stop.cancel();
    let error = called.await.unwrap().unwrap_err();

    assert_eq!(error.code, ErrorCode::Cancelled, "{error}");
    endpoint.wait_for_closed(1).await;
}

#[tokio::test]
async fn a_call_that_was_stopped_before_it_began_sends_nothing() {
    let endpoint = ScriptedEndpoint::start(Script::new()).await;
    let call = call(&backend(&modal(&endpoint.url("/")), ManualClock::new()));
    call.context.stop.cancel();

    let error = call.error().await;

    assert_eq!(error.code, ErrorCode::Cancelled);
    assert_eq!(endpoint.connections(), 0);
}
