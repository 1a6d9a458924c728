//! Result URLs: the chain, its pace, its checkpoints, and re-attaching after a crash (C1, C2, C3).

use std::{sync::Arc, time::Duration};

use beacon_domain::{CheckpointError, ErrorCode, Monotonic, Stage};
use beacon_testkit::{ManualClock, Reply, Script, ScriptedEndpoint, Step, reply};

use crate::support::{
    call::{DEADLINE, Failing, Saved, call},
    clocks::SkippingClock,
    endpoints::{KEY, SECRET, backend, modal, modal_answer, openai, openai_answer},
};

const LOCATION: &str = "?__modal_function_call_id=fc-1";

fn pending() -> Reply {
    reply(303).location(LOCATION)
}

fn good() -> Reply {
    reply(200).json(modal_answer())
}

fn token(endpoint: &ScriptedEndpoint, query: &str) -> String {
    format!("{{\"url\":\"{}\"}}", endpoint.url(&format!("/{query}")))
}

#[tokio::test]
async fn a_chain_of_many_windows_is_one_post_and_gets_with_credentials() {
    let script = (0..40).fold(Script::new(), |script, _| script.then(pending())).then(good());
    let endpoint = ScriptedEndpoint::start(script).await;

    let answer = call(&backend(&modal(&endpoint.url("/")), SkippingClock::default())).answer().await;

    assert_eq!((answer.text.as_str(), answer.redirects), ("yes", 40));
    assert_eq!(answer.provider_call_id.as_deref(), Some("fc-1"));
    let requests = endpoint.requests();
    assert_eq!(requests.iter().filter(|request| request.method == "POST").count(), 1);
    for read in &requests[1..] {
        assert_eq!((read.method.as_str(), read.body.len()), ("GET", 0));
        assert_eq!((read.header("modal-key"), read.header("modal-secret")), (Some(KEY), Some(SECRET)));
        assert_eq!(read.header("content-type"), None);
    }
}

#[tokio::test]
async fn a_chat_completion_behind_modal_goes_the_same_way() {
    let script = Script::new().then(pending()).then(reply(200).json(openai_answer()));
    let endpoint = ScriptedEndpoint::start(script).await;

    let answer =
        call(&backend(&openai(&endpoint.url("/v1/chat/completions")), ManualClock::new())).answer().await;

    assert_eq!((answer.text.as_str(), answer.redirects), ("yes", 1));
    assert_eq!(endpoint.requests()[1].target, format!("/v1/chat/completions{LOCATION}"));
}

#[tokio::test]
async fn a_redirect_at_once_and_without_a_body_is_read_at_once() {
    let endpoint = ScriptedEndpoint::start(Script::new().then(pending()).then(good())).await;

    // The clock stands still: a pause would never end.
    let answer = call(&backend(&modal(&endpoint.url("/")), ManualClock::new())).answer().await;

    assert_eq!(answer.text, "yes");
}

#[tokio::test]
async fn a_loop_of_quick_redirects_is_paced_and_ends_at_the_deadline() {
    // C7
    let endpoint = ScriptedEndpoint::start(Script::new().then_always(pending())).await;
    let clock = SkippingClock::default();

    let error = call(&backend(&modal(&endpoint.url("/")), clock.clone())).error().await;

    assert_eq!((error.code, error.stage), (ErrorCode::AttemptTimeout, Stage::ResultUrl), "{error}");
    let pauses = clock.skipped();
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(5));
    assert!(pauses.iter().rev().skip(1).all(|pause| (least..=most).contains(pause)), "{pauses:?}");
    let readings = endpoint.requests().len() - 1;
    assert!((180..=230).contains(&readings), "{readings} readings in {DEADLINE:?}");
    assert_eq!(endpoint.methods().iter().filter(|method| *method == "POST").count(), 1);
}

#[tokio::test]
async fn a_result_url_that_cannot_be_read_until_the_deadline_says_what_it_met() {
    let script = Script::new().then(pending()).then_always(reply(502).text("bad gateway"));
    let endpoint = ScriptedEndpoint::start(script).await;

    let error = call(&backend(&modal(&endpoint.url("/")), SkippingClock::default())).error().await;

    assert_eq!(error.code, ErrorCode::AttemptTimeout);
    assert!(error.message.contains("last gave gateway_failed"), "{error}");
    assert!(error.message.contains("bad gateway"), "{error}");
}

#[tokio::test]
async fn a_result_url_that_could_be_read_again_before_the_deadline_met_nothing() {
    let script = Script::new().then(pending()).then(reply(502)).then_always(pending());
    let endpoint = ScriptedEndpoint::start(script).await;

    let error = call(&backend(&modal(&endpoint.url("/")), SkippingClock::default())).error().await;

    assert_eq!(error.message, "the attempt's time limit passed");
}

#[tokio::test]
async fn a_result_url_asks_for_a_pause_and_gets_it() {
    let throttled = reply(429).header("retry-after", "9");
    let endpoint = ScriptedEndpoint::start(Script::new().then(pending()).then(throttled).then(good())).await;
    let clock = SkippingClock::default();

    call(&backend(&modal(&endpoint.url("/")), clock.clone())).answer().await;

    assert_eq!(clock.skipped(), [Duration::from_secs(9)]);
}

#[tokio::test]
async fn a_result_url_is_saved_before_it_is_first_read() {
    // C2
    let endpoint = Arc::new(ScriptedEndpoint::start(Script::new().then(pending()).then(good())).await);
    let saved = Saved::watching(&endpoint);

    call(&backend(&modal(&endpoint.url("/")), ManualClock::new())).saving_to(saved.clone()).answer().await;

    assert_eq!(saved.tokens(), [(token(&endpoint, LOCATION), vec!["POST".to_owned()])]);
}

#[tokio::test]
async fn a_result_url_that_moves_is_saved_anew_and_one_that_stays_is_not() {
    let script = Script::new()
        .then(pending())
        .then(pending())
        .then(reply(303).location("?__modal_function_call_id=fc-2"))
        .then(good());
    let endpoint = Arc::new(ScriptedEndpoint::start(script).await);
    let saved = Saved::watching(&endpoint);
    let backend = backend(&modal(&endpoint.url("/")), SkippingClock::default());

    let answer = call(&backend).saving_to(saved.clone()).answer().await;

    let tokens: Vec<String> = saved.tokens().into_iter().map(|(token, _)| token).collect();
    assert_eq!(tokens, [token(&endpoint, LOCATION), token(&endpoint, "?__modal_function_call_id=fc-2")]);
    assert_eq!(answer.provider_call_id.as_deref(), Some("fc-2"));
}

#[tokio::test]
async fn a_checkpoint_that_fails_stops_the_call_before_anyone_waits() {
    // C2
    let failures: [(fn() -> CheckpointError, ErrorCode); 2] = [
        (|| CheckpointError::Lost, ErrorCode::Cancelled),
        (|| CheckpointError::Store("disk full".to_owned()), ErrorCode::Internal),
    ];
    for (failure, code) in failures {
        let endpoint = ScriptedEndpoint::start(Script::new().then(pending()).then(good())).await;
        let backend = backend(&modal(&endpoint.url("/")), ManualClock::new());

        let error = call(&backend).saving_to(Arc::new(Failing(failure))).error().await;

        assert_eq!((error.code, error.stage), (code, Stage::ResultUrl), "{error}");
        assert_eq!(endpoint.methods(), ["POST"]);
    }
}

#[tokio::test]
async fn a_call_with_a_token_only_reads_and_never_posts() {
    // C2, C3
    let endpoint = ScriptedEndpoint::start(Script::new().then(pending()).then(good())).await;
    let backend = backend(&modal(&endpoint.url("/")), SkippingClock::default());

    let answer = call(&backend).resuming(&token(&endpoint, LOCATION)).answer().await;

    assert_eq!((answer.text.as_str(), answer.redirects), ("yes", 2));
    assert_eq!(endpoint.methods(), ["GET", "GET"]);
}

#[tokio::test]
async fn a_token_reads_through_a_lost_connection_too() {
    let endpoint = ScriptedEndpoint::start(Script::new().then(Step::Reset).then(good())).await;
    let backend = backend(&modal(&endpoint.url("/")), SkippingClock::default());

    let answer = call(&backend).resuming(&token(&endpoint, LOCATION)).answer().await;

    assert_eq!(answer.text, "yes");
    assert_eq!(endpoint.methods(), ["GET", "GET"]);
}

#[tokio::test]
async fn a_token_whose_call_is_forgotten_has_expired_without_a_post() {
    let gone = reply(404).text("modal-http: invalid function call");
    let endpoint = ScriptedEndpoint::start(Script::new().then_always(gone)).await;
    let backend = backend(&modal(&endpoint.url("/")), SkippingClock::default());

    let error = call(&backend).resuming(&token(&endpoint, LOCATION)).error().await;

    assert_eq!((error.code, error.surely_not_started), (ErrorCode::ResultExpired, false), "{error}");
    assert_eq!(endpoint.methods(), ["GET", "GET", "GET"]);
}

#[tokio::test]
async fn a_token_of_another_endpoint_is_not_read() {
    let other = ScriptedEndpoint::start(Script::new()).await;
    let endpoint = ScriptedEndpoint::start(Script::new()).await;
    let backend = backend(&modal(&endpoint.url("/")), ManualClock::new());

    for text in [token(&other, LOCATION), "fc-1".to_owned(), String::new()] {
        let error = call(&backend).resuming(&text).error().await;

        assert_eq!(error.code, ErrorCode::ResultExpired);
        assert!(error.message.contains("was inference_url changed?"), "{error}");
    }
    assert_eq!((endpoint.connections(), other.connections()), (0, 0));
}

#[tokio::test]
async fn a_result_url_that_can_be_read_once_is_read_once() {
    let script = Script::new().then(pending()).then(good()).then_always(reply(404));
    let endpoint = ScriptedEndpoint::start(script).await;

    let answer = call(&backend(&modal(&endpoint.url("/")), ManualClock::new())).answer().await;

    assert_eq!(answer.text, "yes");
    assert_eq!(endpoint.methods(), ["POST", "GET"]);
}

#[tokio::test]
async fn the_deadline_is_one_for_the_whole_chain() {
    // S6
    let endpoint = ScriptedEndpoint::start(Script::new().then_always(pending())).await;
    let mut short = call(&backend(&modal(&endpoint.url("/")), SkippingClock::default()));
    short.context.deadline = Monotonic(Duration::from_secs(11));

    let error = short.error().await;

    assert_eq!(error.code, ErrorCode::AttemptTimeout);
    assert!(endpoint.requests().len() <= 7, "{:?}", endpoint.methods());
}
