//! HTTP/2: answers, and streams and connections that end too soon.

use beacon_domain::ErrorCode;
use beacon_testkit::{ManualClock, Script, ScriptedEndpoint, Step, reply};

use crate::support::{
    call::call,
    endpoints::{KEY, backend, modal, modal_answer},
};

fn prior_knowledge(endpoint: &ScriptedEndpoint) -> String {
    modal(&endpoint.url("/fn")) + "http2_prior_knowledge = true\n"
}

#[tokio::test]
async fn a_whole_call_with_a_result_url_goes_over_one_connection() {
    let pending = reply(303).location("?__modal_function_call_id=fc-1");
    let script = Script::new().then(pending).then(reply(200).json(modal_answer()));
    let endpoint = ScriptedEndpoint::start_http2(script).await;

    let answer = call(&backend(&prior_knowledge(&endpoint), ManualClock::new())).answer().await;

    assert_eq!((answer.text.as_str(), answer.redirects), ("yes", 1));
    assert_eq!((endpoint.methods(), endpoint.connections()), (vec!["POST".into(), "GET".into()], 1));
    assert!(endpoint.requests().iter().all(|request| request.header("modal-key") == Some(KEY)));
}

#[tokio::test]
async fn many_calls_at_once_share_a_connection() {
    let endpoint =
        ScriptedEndpoint::start_http2(Script::new().then_always(reply(200).json(modal_answer()))).await;
    let backend = backend(&prior_knowledge(&endpoint), ManualClock::new());

    let calls: Vec<_> = (0..64).map(|_| call(&backend).start()).collect();
    for called in calls {
        called.await.unwrap().unwrap();
    }

    assert_eq!((endpoint.requests().len(), endpoint.connections()), (64, 1));
}

async fn check(step: Step, not_started: bool) {
    let script = Script::new().then(step).then(reply(200).json(modal_answer()));
    let endpoint = ScriptedEndpoint::start_http2(script).await;
    let backend = backend(&prior_knowledge(&endpoint), ManualClock::new());

    let error = call(&backend).error().await;
    let next = call(&backend).answer().await;

    assert_eq!((error.code, error.surely_not_started), (ErrorCode::ConnectionLost, not_started), "{error}");
    assert_eq!(next.text, "yes");
    assert_eq!(endpoint.methods(), ["POST", "POST"], "one POST per attempt");
}

#[tokio::test]
async fn a_stream_or_connection_that_ends_too_soon_is_lost_and_the_next_call_gets_through() {
    // C3, C7. RFC 9113 section 7: INTERNAL_ERROR, CANCEL, NO_ERROR.
    check(Step::ResetStream(2), false).await;
    check(Step::ResetStream(8), false).await;
    check(Step::GoAway(2), false).await;
}

#[tokio::test]
async fn a_refused_stream_surely_did_no_work() {
    // C3. RFC 9113 section 8.7: REFUSED_STREAM.
    check(Step::ResetStream(7), true).await;
}

#[tokio::test]
async fn a_server_that_does_not_speak_it_ends_in_a_typed_error() {
    // C7
    let endpoint = ScriptedEndpoint::start(Script::new().then_always(reply(400).text("what?"))).await;

    let error = call(&backend(&prior_knowledge(&endpoint), ManualClock::new())).error().await;

    assert_eq!(error.code, ErrorCode::ConnectionLost, "{error}");
}

#[tokio::test]
async fn a_server_that_hangs_ends_with_the_stop() {
    let endpoint = ScriptedEndpoint::start_http2(Script::new().then(Step::Hang)).await;
    let call = call(&backend(&prior_knowledge(&endpoint), ManualClock::new()));
    let stop = call.context.stop.clone();
    let called = call.start();
    endpoint.wait_for_requests(1).await;

    stop.cancel();

    assert_eq!(called.await.unwrap().unwrap_err().code, ErrorCode::Cancelled);
}
