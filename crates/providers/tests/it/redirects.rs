//! Redirects: which ones lead to a result, and that no other is followed (C1).

use beacon_domain::{Answer, CallError, ErrorCode};
use beacon_testkit::{Reply, Script, ScriptedEndpoint, SeenRequest, reply};

use crate::support::{
    call::call,
    clocks::SkippingClock,
    endpoints::{KEY, SECRET, backend, modal, modal_answer},
};

const PATH: &str = "/fn/call?q=1";
const CALL_ID: &str = "__modal_function_call_id=fc-1";

/// What becomes of a call whose POST gets this redirect and whose next request gets the answer.
async fn redirected(redirect: Reply) -> (Result<Answer, CallError>, Vec<SeenRequest>) {
    let script = Script::new().then(redirect).then(reply(200).json(modal_answer()));
    let endpoint = ScriptedEndpoint::start(script).await;
    let result = call(&backend(&modal(&endpoint.url(PATH)), SkippingClock::default())).result().await;
    (result, endpoint.requests())
}

async fn check_followed(redirect: Reply, target: &str) {
    let shown = format!("{redirect:?}");
    let (result, requests) = redirected(redirect).await;

    let answer = result.unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!((answer.text.as_str(), answer.redirects), ("yes", 1));
    let read = &requests[1];
    assert_eq!((read.method.as_str(), read.target.as_str(), read.body.len()), ("GET", target, 0), "{shown}");
    assert_eq!((read.header("modal-key"), read.header("modal-secret")), (Some(KEY), Some(SECRET)));
}

#[tokio::test]
async fn every_form_of_location_on_the_same_origin_is_read_by_get_with_credentials() {
    let at = |location: &str| reply(303).location(location);

    check_followed(at("?__modal_function_call_id=fc-1"), "/fn/call?__modal_function_call_id=fc-1").await;
    check_followed(at("/fn/call?q=1&__modal_function_call_id=fc-1"), &format!("{PATH}&{CALL_ID}")).await;
    check_followed(at("/results/1"), "/results/1").await;
    check_followed(at("result?id=1"), "/fn/result?id=1").await;
    check_followed(at("{origin}/results/1?x=1"), "/results/1?x=1").await;
    check_followed(at("/results/1#top"), "/results/1").await;
    check_followed(at("/results/1").text("see there"), "/results/1").await;
    check_followed(at("/results/1").chunked().text("see there"), "/results/1").await;
}

#[tokio::test]
async fn any_redirect_with_a_call_id_is_a_result_url() {
    for status in [301, 302, 303, 307, 308] {
        let redirect = reply(status).location(&format!("{PATH}&{CALL_ID}"));

        check_followed(redirect, &format!("{PATH}&{CALL_ID}")).await;
    }
}

async fn check_refused(redirect: Reply, message: &str) {
    let status = redirect.status();
    let (result, requests) = redirected(redirect).await;

    let error = result.unwrap_err();
    assert_eq!((error.code, error.http_status), (ErrorCode::BadRedirect, Some(status)), "{error}");
    assert!(error.message.contains(message), "{message}: {error}");
    assert!(!error.surely_not_started);
    assert_eq!(requests.len(), 1, "nothing was followed");
}

#[tokio::test]
async fn other_redirects_are_refused_and_not_followed() {
    for status in [301, 302, 307, 308] {
        check_refused(reply(status).location("/elsewhere"), "not a result URL; check inference_url").await;
    }
    for status in [300, 303, 304, 305] {
        check_refused(reply(status), "without a usable Location").await;
    }
    check_refused(reply(303).location(""), "without a usable Location").await;
    check_refused(reply(303).location("javascript:alert(1)"), "without a usable Location").await;
    check_refused(reply(303).header("location", "/caf\u{e9}"), "without a usable Location").await;
    check_refused(reply(303).location(PATH), "not a result URL").await;
}

#[tokio::test]
async fn credentials_never_go_to_another_origin() {
    let thief = ScriptedEndpoint::start(Script::new().then_always(reply(200).json(modal_answer()))).await;
    let stolen = thief.url(&format!("/?{CALL_ID}"));
    let by_name = thief.localhost_url(&format!("/?{CALL_ID}"));
    let with_user = format!("http://user@{}/?{CALL_ID}", thief.addr());

    for location in [&stolen, &by_name, &with_user, &stolen.replace("http:", "")] {
        check_refused(reply(303).location(location), "another origin and was not followed").await;
        check_refused(reply(307).location(location), "another origin and was not followed").await;
    }

    assert_eq!((thief.connections(), thief.requests().len()), (0, 0));
}

#[tokio::test]
async fn a_result_url_that_redirects_to_another_origin_ends_the_call() {
    let thief = ScriptedEndpoint::start(Script::new()).await;
    let script = Script::new()
        .then(reply(303).location(&format!("?{CALL_ID}")))
        .then(reply(303).location(&thief.url(&format!("/?{CALL_ID}"))));
    let endpoint = ScriptedEndpoint::start(script).await;

    let error = call(&backend(&modal(&endpoint.url("/")), SkippingClock::default())).error().await;

    assert_eq!(error.code, ErrorCode::BadRedirect, "{error}");
    assert_eq!(thief.connections(), 0);
}
