//! Every fault that a peer can have ends in a typed error within the deadline (C7).

use std::time::Duration;

use beacon_domain::{CallError, ErrorCode, Stage};
use beacon_testkit::{ManualClock, Reply, Script, ScriptedEndpoint, Step, Tap, reply};

use crate::support::{
    call::{DEADLINE, call},
    clocks::SkippingClock,
    endpoints::{backend, modal, modal_answer},
};

const LOCATION: &str = "?__modal_function_call_id=fc-1";
const SMALL: usize = 4096;

fn configuration(endpoint: &ScriptedEndpoint) -> String {
    modal(&endpoint.url("/")) + &format!("max_answer_bytes = {SMALL}\n")
}

fn good() -> Reply {
    reply(200).json(modal_answer())
}

/// The error of a fault that ends the call by itself. The clock stands still, so no time limit can have helped.
async fn fault(step: impl Into<Step>) -> CallError {
    let endpoint = ScriptedEndpoint::start(Script::new().then(step)).await;
    let error = call(&backend(&configuration(&endpoint), ManualClock::new())).error().await;
    assert_eq!(endpoint.methods(), ["POST"]);
    error
}

async fn check(step: impl Into<Step>, code: ErrorCode, stage: Stage, message: &str) {
    let error = fault(step).await;

    assert_eq!((error.code, error.stage), (code, stage), "{error}");
    assert!(error.message.contains(message), "{message}: {error}");
    assert!(!error.surely_not_started, "the request was sent");
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_is_lost() {
    check(Step::Close, ErrorCode::ConnectionLost, Stage::Request, "before an answer came").await;
    check(Step::Reset, ErrorCode::ConnectionLost, Stage::Request, "before an answer came").await;
    check(Step::Raw("HTTP/1.1 200 O".into()), ErrorCode::ConnectionLost, Stage::Request, "before").await;
}

#[tokio::test]
async fn a_head_that_is_no_http_or_has_no_end_is_malformed() {
    let (code, stage) = (ErrorCode::MalformedAnswer, Stage::Request);

    check(Step::Raw("SSH-2.0-OpenSSH_9.2\r\n\r\n".into()), code, stage, "not HTTP").await;
    check(Step::EndlessHead, code, stage, "not HTTP, or too long").await;
    check(reply(200).header("content-length", "9").json("{}"), code, stage, "not HTTP").await;
    check(reply(101), code, stage, "HTTP 101").await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_malformed_however_its_length_was_announced() {
    let (code, stage) = (ErrorCode::MalformedAnswer, Stage::Body);

    check(good().cut_after(20), code, stage, "broke off").await;
    check(good().reset_after(20), code, stage, "broke off").await;
    check(good().chunked().cut_after(20), code, stage, "broke off").await;
    check(good().claims_length(4000).cut_after(4000), code, stage, "broke off").await;
    check(good().claims_length(20).then_close(), code, stage, "breaks off after 20 bytes").await;
    check(reply(200).json("{\"success\":tr"), code, stage, "breaks off after 13 bytes").await;
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_cut_off_however_its_length_was_announced() {
    let long = || reply(200).json("x".repeat(SMALL + 1));

    check(long(), ErrorCode::AnswerTooLarge, Stage::Body, "longer than 4096 bytes").await;
    check(long().chunked(), ErrorCode::AnswerTooLarge, Stage::Body, "raise max_answer_bytes").await;
    check(long().endless(), ErrorCode::AnswerTooLarge, Stage::Body, "longer").await;
}

#[tokio::test]
async fn a_body_that_is_not_our_json_is_malformed_and_said_to_be_what_it_is() {
    let (code, stage) = (ErrorCode::MalformedAnswer, Stage::Body);
    let gzip = || reply(200).header("content-encoding", "gzip");

    check(reply(200).html("<html>hello</html>"), code, stage, "\"text/html\", not application/json").await;
    check(reply(200).text(modal_answer()), code, stage, "\"text/plain\"").await;
    check(reply(200).json("<html>hello</html>"), code, stage, "HTML").await;
    check(reply(200).json(""), code, stage, "the answer is empty").await;
    check(reply(204), code, stage, "the answer is empty").await;
    check(reply(200).json("[1, 2]"), code, stage, "no object").await;
    check(reply(200).json("yes, of course"), code, stage, "not JSON (line 1, column 1)").await;
    check(reply(200).json("[".repeat(3000)), code, stage, "not JSON").await;
    check(reply(200).body(&b"{\"response\":\"\xff\xfe\"}"[..]), code, stage, "not JSON").await;
    check(gzip().body(&b"\x1f\x8b\x08\x00rest"[..]), code, stage, "compressed, which was not asked for")
        .await;
}

#[tokio::test]
async fn a_label_that_lies_about_compression_costs_no_answer() {
    let lie = good().header("content-encoding", "gzip");
    let endpoint = ScriptedEndpoint::start(Script::new().then(lie)).await;

    let answer = call(&backend(&configuration(&endpoint), ManualClock::new())).answer().await;

    assert_eq!(answer.text, "yes");
}

#[tokio::test]
async fn bytes_behind_the_announced_length_never_reach_the_next_call() {
    let smuggled = "{\"success\":true}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let script = Script::new().then(reply(200).json(smuggled).claims_length(16)).then(good());
    let endpoint = ScriptedEndpoint::start(script).await;
    let backend = backend(&configuration(&endpoint), ManualClock::new());

    let first = call(&backend).error().await;
    let second = call(&backend).answer().await;

    assert!(first.message.contains("none of response"), "{first}");
    assert_eq!(second.text, "yes");
    assert_eq!(endpoint.methods(), ["POST", "POST"]);
}

#[tokio::test]
async fn a_continue_before_the_answer_is_passed_over() {
    let endpoint = ScriptedEndpoint::start(Script::new().then(good().after_continue())).await;

    let answer = call(&backend(&configuration(&endpoint), ManualClock::new())).answer().await;

    assert_eq!(answer.text, "yes");
}

#[tokio::test]
async fn a_refusal_is_read_by_its_status_even_if_its_body_is_broken_or_has_no_end() {
    for (answer, code) in [
        (reply(429).text("slow down").cut_after(3), ErrorCode::Throttled),
        (reply(503).text("x".repeat(1000)).endless(), ErrorCode::Overloaded),
        (reply(500).body(&b"\xff\xfe\xfd"[..]), ErrorCode::EndpointFailed),
    ] {
        assert_eq!(fault(answer).await.code, code);
    }
}

/// The error of a fault that only a time limit can end.
async fn hanging(script: Script, requests: usize) -> CallError {
    let endpoint = ScriptedEndpoint::start(script).await;
    let clock = ManualClock::new();
    let called = call(&backend(&configuration(&endpoint), clock.clone())).start();
    endpoint.wait_for_requests(requests).await;
    assert!(!called.is_finished(), "nothing has ended it yet");

    clock.advance(DEADLINE);
    let error = called.await.unwrap().unwrap_err();
    endpoint.wait_for_closed(1).await;
    error
}

async fn check_hanging(script: Script, requests: usize, stage: Stage) {
    let error = hanging(script, requests).await;

    assert_eq!((error.code, error.stage), (ErrorCode::AttemptTimeout, stage), "{error}");
}

#[tokio::test]
async fn what_hangs_or_drips_ends_at_the_deadline_and_the_connection_is_closed() {
    let tap = Tap::new();
    let pending = || Script::new().then(reply(303).location(LOCATION));

    check_hanging(Script::new().then(Step::Hang), 1, Stage::Request).await;
    check_hanging(Script::new().then(good().held_by(&tap)), 1, Stage::Request).await;
    check_hanging(pending().then(Step::Hang), 2, Stage::ResultUrl).await;
}

/// A body that has begun to drip when the deadline comes.
async fn check_dripping(status: u16) {
    let tap = Tap::new();
    let endpoint =
        ScriptedEndpoint::start(Script::new().then(reply(status).json(modal_answer()).dripping_from(&tap)))
            .await;
    let clock = ManualClock::new();
    let called = call(&backend(&configuration(&endpoint), clock.clone())).start();
    endpoint.wait_for_requests(1).await;
    tap.let_through(10);
    tap.run_dry().await;

    clock.advance(DEADLINE);
    let error = called.await.unwrap().unwrap_err();

    assert_eq!(error.code, ErrorCode::AttemptTimeout, "{error}");
}

#[tokio::test]
async fn a_body_that_drips_ends_at_the_deadline() {
    check_dripping(200).await;
    check_dripping(503).await;
}

#[tokio::test]
async fn a_slow_answer_within_the_deadline_is_an_answer() {
    let tap = Tap::new();
    tap.open();
    let endpoint = ScriptedEndpoint::start(Script::new().then(good().dripping_from(&tap))).await;

    let answer = call(&backend(&configuration(&endpoint), ManualClock::new())).answer().await;

    assert_eq!(answer.text, "yes");
}

#[tokio::test]
async fn after_the_deadline_nothing_is_sent() {
    // S7
    let endpoint = ScriptedEndpoint::start(Script::new()).await;
    let clock = ManualClock::new();
    clock.advance(DEADLINE);

    let error = call(&backend(&configuration(&endpoint), clock)).error().await;

    assert_eq!(error.code, ErrorCode::AttemptTimeout);
    assert_eq!((endpoint.connections(), endpoint.requests().len()), (0, 0));
}

#[tokio::test]
async fn a_peer_that_hangs_while_connecting_costs_twenty_seconds_and_surely_no_work() {
    // A clear-text server never answers the greeting of TLS.
    let endpoint = ScriptedEndpoint::start(Script::new()).await;
    let clock = ManualClock::new();
    let called = call(&backend(&modal(&endpoint.url("/").replace("http:", "https:")), clock.clone())).start();
    endpoint.wait_for_connections(1).await;

    clock.advance(Duration::from_secs(20));
    let error = called.await.unwrap().unwrap_err();

    assert_eq!((error.code, error.stage), (ErrorCode::ConnectRefused, Stage::Connect), "{error}");
    assert!(error.surely_not_started);
}

#[tokio::test]
async fn an_address_where_nobody_listens_surely_did_no_work() {
    // C3. Port 1 is reserved, so no other test listens there.
    let error = call(&backend(&modal("http://127.0.0.1:1/"), ManualClock::new())).error().await;

    assert_eq!((error.code, error.stage), (ErrorCode::ConnectRefused, Stage::Connect), "{error}");
    assert!(error.surely_not_started);
    assert!(error.message.contains("nothing listens there"), "{error}");
}

#[tokio::test]
async fn a_name_that_cannot_exist_surely_did_no_work() {
    // A label of more than 63 characters is refused before anyone is asked (RFC 1035 section 2.3.4).
    let url = format!("http://{}.invalid/", "x".repeat(70));

    let error = call(&backend(&modal(&url), ManualClock::new())).error().await;

    assert_eq!((error.code, error.stage), (ErrorCode::DnsFailed, Stage::Connect), "{error}");
    assert!(error.surely_not_started);
}

#[tokio::test]
async fn on_a_result_url_what_breaks_off_is_read_again() {
    // C2, C3
    for broken in [
        Step::Close,
        Step::Reset,
        good().cut_after(20).into(),
        good().reset_after(20).into(),
        good().chunked().cut_after(20).into(),
    ] {
        let script = Script::new().then(reply(303).location(LOCATION)).then(broken.clone()).then(good());
        let endpoint = ScriptedEndpoint::start(script).await;

        let answer = call(&backend(&configuration(&endpoint), SkippingClock::default())).answer().await;

        assert_eq!(answer.text, "yes", "{broken:?}");
        assert_eq!(endpoint.methods(), ["POST", "GET", "GET"], "{broken:?}");
    }
}

#[tokio::test]
async fn on_a_result_url_a_whole_answer_that_is_wrong_is_final() {
    for (answer, code) in [
        (reply(200).html("<html>"), ErrorCode::MalformedAnswer),
        (reply(200).json("{\"success\":tr"), ErrorCode::MalformedAnswer),
        (reply(200).json("x".repeat(SMALL + 1)), ErrorCode::AnswerTooLarge),
    ] {
        let script = Script::new().then(reply(303).location(LOCATION)).then(answer);
        let endpoint = ScriptedEndpoint::start(script).await;

        let error = call(&backend(&configuration(&endpoint), SkippingClock::default())).error().await;

        assert_eq!((error.code, error.http_status), (code, Some(200)), "{error}");
        assert_eq!(endpoint.methods(), ["POST", "GET"]);
    }
}
