//! Every row of the status table, on the POST and on the result URL (C3, C5).

use std::time::Duration;

use beacon_domain::{CallError, ErrorClass, ErrorCode};
use beacon_testkit::{Reply, Script, ScriptedEndpoint, reply};

use crate::support::{
    call::call,
    clocks::SkippingClock,
    endpoints::{backend, modal, modal_answer, openai},
};

const LOCATION: &str = "?__modal_function_call_id=fc-1";

/// What the POST makes of this answer.
async fn on_post(text: impl Fn(&str) -> String, answer: Reply) -> CallError {
    let endpoint = ScriptedEndpoint::start(Script::new().then(answer)).await;
    let error = call(&backend(&text(&endpoint.url("/")), SkippingClock::default())).error().await;
    assert_eq!(endpoint.methods(), ["POST"], "one POST per attempt");
    error
}

async fn check(answer: Reply, code: ErrorCode, class: ErrorClass, not_started: bool) {
    let error = on_post(modal, answer.clone()).await;

    assert_eq!((error.code, error.class(), error.surely_not_started), (code, class, not_started), "{error}");
    assert!(error.http_status.is_some());
}

#[tokio::test]
async fn every_row_of_the_status_table_has_its_code_class_and_whether_work_was_begun() {
    use ErrorClass as Class;
    use ErrorCode as Code;

    check(reply(400).text("modal-http: bad redirect method"), Code::Internal, Class::Internal, false).await;
    check(reply(400).json("{}"), Code::RejectedInput, Class::Rejected, false).await;
    check(
        reply(401).text("modal-http: missing credentials for proxy authorization"),
        Code::Unauthorized,
        Class::Rejected,
        true,
    )
    .await;
    check(reply(401).json("{}"), Code::Unauthorized, Class::Rejected, false).await;
    check(reply(402), Code::SpendLimit, Class::SpendLimit, true).await;
    check(reply(403).text("modal-http: forbidden"), Code::Unauthorized, Class::Rejected, true).await;
    check(
        reply(404).text("modal-http: invalid function call"),
        Code::EndpointStopped,
        Class::Unreachable,
        true,
    )
    .await;
    check(
        reply(404).text("modal-http: app for invoked web endpoint is stopped"),
        Code::EndpointStopped,
        Class::Unreachable,
        true,
    )
    .await;
    check(reply(404).json("{}"), Code::RejectedRequest, Class::Rejected, false).await;
    check(
        reply(408).text("Missing request, possibly due to expiry or cancellation"),
        Code::ProviderCancelled,
        Class::Unavailable,
        false,
    )
    .await;
    check(reply(413), Code::RejectedInput, Class::Rejected, false).await;
    check(reply(418), Code::RejectedRequest, Class::Rejected, false).await;
    check(reply(422).json("{}"), Code::RejectedInput, Class::Rejected, false).await;
    check(reply(429), Code::Throttled, Class::Throttled, true).await;
    check(
        reply(429).text("workspace billing cycle spend limit reached"),
        Code::SpendLimit,
        Class::SpendLimit,
        true,
    )
    .await;
    check(
        reply(500).text("modal-http: internal error: function execution timed out"),
        Code::ProviderTimeout,
        Class::Timeout,
        false,
    )
    .await;
    check(
        reply(500).text("modal-http: internal error: function was terminated by signal"),
        Code::Preempted,
        Class::Internal,
        false,
    )
    .await;
    check(
        reply(500).text("modal-http: internal error: Server has lost track of input"),
        Code::GatewayFailed,
        Class::Unavailable,
        false,
    )
    .await;
    check(reply(500).text("Internal Server Error"), Code::EndpointFailed, Class::Internal, false).await;
    check(reply(502), Code::GatewayFailed, Class::Unavailable, false).await;
    check(reply(503).text("busy"), Code::Overloaded, Class::Overloaded, false).await;
    check(reply(503).text("modal-http: no container"), Code::Overloaded, Class::Overloaded, true).await;
    check(reply(504), Code::GatewayFailed, Class::Unavailable, false).await;
}

#[tokio::test]
async fn a_503_of_a_server_that_does_not_queue_began_no_work() {
    // C3
    let no_queue = |url: &str| modal(url) + "provider_queues = false\n";

    let error = on_post(no_queue, reply(503).header("retry-after", "7")).await;

    assert_eq!((error.code, error.surely_not_started), (ErrorCode::Overloaded, true));
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn retry_after_is_kept_in_both_forms() {
    // The clock of the tests starts at 2026-01-01T00:00:00Z.
    for (text, seconds) in
        [("30", Some(30)), ("Thu, 01 Jan 2026 00:02:00 GMT", Some(120)), ("0", None), ("soon", None)]
    {
        for status in [429, 503] {
            let error = on_post(modal, reply(status).header("retry-after", text)).await;

            assert_eq!(error.retry_after, seconds.map(Duration::from_secs), "{status} {text}");
        }
    }
}

/// What becomes of a call whose result URL answers so.
async fn on_result_url(answers: Vec<Reply>) -> (Result<String, CallError>, Vec<String>) {
    let mut script = Script::new().then(reply(303).location(LOCATION));
    for answer in answers {
        script = script.then(answer);
    }
    let endpoint = ScriptedEndpoint::start(script).await;
    let result = call(&backend(&modal(&endpoint.url("/")), SkippingClock::default())).result().await;
    (result.map(|answer| answer.text), endpoint.methods())
}

async fn check_final(answer: Reply, code: ErrorCode) {
    let (result, methods) = on_result_url(vec![answer]).await;

    let error = result.unwrap_err();
    assert_eq!((error.code, error.surely_not_started), (code, false), "{error}");
    assert_eq!(methods, ["POST", "GET"]);
}

#[tokio::test]
async fn what_no_reload_of_a_result_url_can_cure_ends_the_call() {
    check_final(reply(400).text("modal-http: bad redirect method"), ErrorCode::Internal).await;
    check_final(reply(401).text("modal-http: invalid credentials"), ErrorCode::Unauthorized).await;
    check_final(reply(410), ErrorCode::ResultExpired).await;
    check_final(reply(429).text("workspace billing cycle spend limit reached"), ErrorCode::SpendLimit).await;
    check_final(
        reply(500).text("modal-http: internal error: function execution timed out"),
        ErrorCode::ProviderTimeout,
    )
    .await;
    check_final(
        reply(500).text("modal-http: internal error: function was terminated by signal"),
        ErrorCode::Preempted,
    )
    .await;
    check_final(
        reply(500).text("modal-http: internal error: Server has lost track of input"),
        ErrorCode::GatewayFailed,
    )
    .await;
    check_final(reply(500), ErrorCode::EndpointFailed).await;
}

#[tokio::test]
async fn what_a_reload_of_a_result_url_can_cure_never_costs_a_second_post() {
    // C3
    for status in [408, 429, 502, 503, 504] {
        let answers = vec![reply(status), reply(status), reply(200).json(modal_answer())];

        let (result, methods) = on_result_url(answers).await;

        assert_eq!(result.unwrap(), "yes", "{status}");
        assert_eq!(methods, ["POST", "GET", "GET", "GET"], "{status}");
    }
}

#[tokio::test]
async fn a_result_url_that_stays_gone_has_expired() {
    // C2
    let gone = || reply(404).text("modal-http: invalid function call");

    let (result, methods) = on_result_url(vec![gone(), gone(), gone()]).await;

    let error = result.unwrap_err();
    assert_eq!((error.code, error.class()), (ErrorCode::ResultExpired, ErrorClass::Unavailable));
    assert!(!error.surely_not_started, "it was begun and paid");
    assert_eq!(methods, ["POST", "GET", "GET", "GET"]);
}

#[tokio::test]
async fn a_result_url_that_is_gone_only_while_the_app_is_deployed_anew_is_waited_for() {
    let gone = || reply(404).text("modal-http: invalid function call");

    let (result, _) = on_result_url(vec![gone(), gone(), reply(200).json(modal_answer())]).await;

    assert_eq!(result.unwrap(), "yes");
}

async fn check_openai(status: u16, body: &str, code: ErrorCode) {
    let error = on_post(openai, reply(status).json(body)).await;

    assert_eq!((error.code, error.http_status), (code, Some(status)), "{status} {body}: {error}");
}

#[tokio::test]
async fn the_error_objects_of_openai_and_its_imitators_have_their_codes() {
    // C5. OpenAI
    check_openai(401, r#"{"error":{"message":"Incorrect API key provided: sk-a***z","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#, ErrorCode::Unauthorized).await;
    check_openai(401, r#"{"error":{"message":"You didn't provide an API key.","type":"invalid_request_error","param":null,"code":null}}"#, ErrorCode::Unauthorized).await;
    check_openai(404, r#"{"error":{"message":"The model `x` does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#, ErrorCode::UnknownModel).await;
    check_openai(404, r#"{"error":{"message":"Invalid URL (POST /v1/x)","type":"invalid_request_error","param":null,"code":null}}"#, ErrorCode::RejectedRequest).await;
    check_openai(400, r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#, ErrorCode::RejectedInput).await;
    check_openai(429, r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#, ErrorCode::SpendLimit).await;
    check_openai(429, r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#, ErrorCode::Throttled).await;
    check_openai(
        500,
        r#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#,
        ErrorCode::EndpointFailed,
    )
    .await;
    check_openai(
        503,
        r#"{"error":{"message":"overloaded","type":"server_error","param":null,"code":null}}"#,
        ErrorCode::Overloaded,
    )
    .await;
    // vLLM, as it is and as it was
    check_openai(404, r#"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}"#, ErrorCode::UnknownModel).await;
    check_openai(400, r#"{"object":"error","message":"This model's maximum context length is 4096 tokens","type":"BadRequestError","param":null,"code":400}"#, ErrorCode::RejectedInput).await;
    check_openai(401, r#"{"error":"Unauthorized"}"#, ErrorCode::Unauthorized).await;
    // Ollama
    check_openai(404, r#"{"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error","param":null,"code":null}}"#, ErrorCode::UnknownModel).await;
    // llama.cpp
    check_openai(
        503,
        r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
        ErrorCode::Overloaded,
    )
    .await;
    check_openai(400, r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}"#, ErrorCode::RejectedInput).await;
    // LiteLLM
    check_openai(429, r#"{"error":{"message":"litellm.RateLimitError: slow down","type":"throttling_error","param":null,"code":"429"}}"#, ErrorCode::Throttled).await;
    check_openai(400, r#"{"error":{"message":"Budget has been exceeded! Current cost: 1","type":"budget_exceeded","param":null,"code":"400"}}"#, ErrorCode::SpendLimit).await;
    check_openai(401, r#"{"error":{"message":"Authentication Error, Received API Key = sk-...oken","type":"auth_error","param":"None","code":"401"}}"#, ErrorCode::Unauthorized).await;
    // FastAPI, and nothing at all
    check_openai(422, r#"{"detail":"field required"}"#, ErrorCode::RejectedInput).await;
    check_openai(404, r#"{"detail":"Not Found"}"#, ErrorCode::RejectedRequest).await;
    check_openai(502, "", ErrorCode::GatewayFailed).await;
}

#[tokio::test]
async fn where_the_status_is_the_clearer_word_the_error_object_does_not_overrule_it() {
    check_openai(502, r#"{"error":{"message":"x","code":"rate_limit_exceeded"}}"#, ErrorCode::GatewayFailed)
        .await;
    let unknown = r#"{"error":{"message":"no such response","code":"model_not_found"}}"#;
    let script = Script::new().then(reply(303).location(LOCATION)).then(reply(410).json(unknown));
    let endpoint = ScriptedEndpoint::start(script).await;

    let error = call(&backend(&openai(&endpoint.url("/")), SkippingClock::default())).error().await;

    assert_eq!(error.code, ErrorCode::ResultExpired, "{error}");
}

#[tokio::test]
async fn an_openai_server_behind_modal_is_understood_when_modals_edge_speaks() {
    let stopped = reply(404).text("modal-http: app for invoked web endpoint is stopped");

    let error = on_post(openai, stopped).await;

    assert_eq!((error.code, error.surely_not_started), (ErrorCode::EndpointStopped, true));
}

#[tokio::test]
async fn advice_says_what_to_do() {
    let reasoning = r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#;
    let cases = [
        (
            on_post(openai, reply(400).json(reasoning)).await,
            "set max_tokens_field = \"max_completion_tokens\"",
        ),
        (on_post(openai, reply(404).json("{}")).await, "inference_url must end in"),
        (on_post(openai, reply(402).json("{}")).await, "raise it"),
        (on_post(modal, reply(404).html("<html>")).await, "must be the function's full URL"),
        (on_post(modal, reply(401)).await, "check auth"),
        (on_post(modal, reply(500).html("<html>")).await, "HTTP 500 with an HTML page"),
        (on_post(modal, reply(500)).await, "HTTP 500 without text"),
    ];
    for (error, advice) in cases {
        assert!(error.message.contains(advice), "{advice}: {error}");
    }
}
