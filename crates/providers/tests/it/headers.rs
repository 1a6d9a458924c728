//! What stands in a request: the exact body, ids, credentials; and that credentials stand nowhere else.

use beacon_domain::{CallError, ErrorCode, TraceParent};
use beacon_testkit::{ManualClock, Reply, Script, ScriptedEndpoint, SeenRequest, reply};
use serde_json::json;

use crate::support::{
    call::call,
    clocks::SkippingClock,
    endpoints::{KEY, SECRET, TOKEN, backend, modal, modal_answer, openai, openai_answer},
};

const ATTEMPT: &str = "01010101010101010101010101010101/5/2";

async fn requests(text: impl Fn(&str) -> String, last: Reply) -> Vec<SeenRequest> {
    let script = Script::new().then(reply(303).location("?__modal_function_call_id=fc-1")).then(last);
    let endpoint = ScriptedEndpoint::start(script).await;
    call(&backend(&text(&endpoint.url("/")), ManualClock::new())).answer().await;
    endpoint.requests()
}

#[tokio::test]
async fn a_web_function_gets_exactly_the_frozen_request() {
    // S5
    let requests = requests(modal, reply(200).json(modal_answer())).await;

    let expected = json!({
        "model": "llama3.2-1b", "prompt": "Is it?", "temperature": 0.1, "max_tokens": 500, "region": "asia-pacific",
    });
    assert_eq!(requests[0].json(), expected);
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_chat_server_gets_exactly_the_frozen_request() {
    // S5
    let requests = requests(openai, reply(200).json(openai_answer())).await;

    let expected = json!({
        "model": "llama3.2:1b", "messages": [{ "role": "user", "content": "Is it?" }], "temperature": 0.1,
        "max_tokens": 500, "top_p": 0.9, "seed": 7,
    });
    assert_eq!(requests[0].json(), expected);
}

#[tokio::test]
async fn a_reasoning_model_gets_its_own_bound_on_tokens() {
    let text = |url: &str| openai(url) + "max_tokens_field = \"max_completion_tokens\"\n";

    let body = requests(text, reply(200).json(openai_answer())).await[0].json();

    assert_eq!((&body["max_completion_tokens"], &body["max_tokens"]), (&json!(500), &json!(null)));
}

#[tokio::test]
async fn a_trace_id_goes_with_every_request_and_the_idempotency_key_with_the_post() {
    // O4
    let requests = requests(modal, reply(200).json(modal_answer())).await;

    let header = |name: &str| -> Vec<Option<String>> {
        requests.iter().map(|request| request.header(name).map(str::to_owned)).collect()
    };
    assert_eq!(header("x-trace-id"), [Some("trace-1".to_owned()), Some("trace-1".to_owned())]);
    let parents = header("traceparent");
    let parent: TraceParent = parents[0].as_deref().unwrap().parse().unwrap();
    assert_eq!(
        (parent.trace(), &parents[0]),
        ([1; 16], &parents[1]),
        "the job's id; one attempt is one span"
    );
    assert_eq!(header("idempotency-key"), [Some(ATTEMPT.to_owned()), None]);
    assert_eq!(header("accept-encoding"), [Some("identity".to_owned()), Some("identity".to_owned())]);
    assert!(header("user-agent").iter().flatten().all(|agent| agent.starts_with("beacon/")));
}

#[tokio::test]
async fn credentials_go_where_the_configuration_says() {
    let proxy = requests(modal, reply(200).json(modal_answer())).await;
    let bearer = requests(openai, reply(200).json(openai_answer())).await;

    for request in proxy {
        assert_eq!((request.header("modal-key"), request.header("modal-secret")), (Some(KEY), Some(SECRET)));
    }
    for request in bearer {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    }
}

async fn error(text: impl Fn(&str) -> String, answer: Reply) -> CallError {
    let endpoint = ScriptedEndpoint::start(Script::new().then(answer)).await;
    call(&backend(&text(&endpoint.url("/")), SkippingClock::default())).error().await
}

#[tokio::test]
async fn no_error_repeats_a_credential_or_the_query_of_a_url() {
    let query = "https://s3.test/x?X-Amz-Signature=abcdef please";
    let proxy = format!("no {KEY} {SECRET} at {query}");
    let bearer = format!("no Bearer {TOKEN} at {query}");

    for error in [
        error(modal, reply(500).text(&proxy)).await,
        error(modal, reply(400).text(&proxy)).await,
        error(modal, reply(200).json(json!({ "success": false, "error": proxy }))).await,
        error(modal, reply(200).json(json!({ "success": true, "response": "x", "model": proxy }))).await,
        error(modal, reply(200).json(json!({ "success": true, "response": "x", "region": proxy }))).await,
        error(openai, reply(500).json(json!({ "error": { "message": bearer } }))).await,
        error(openai, reply(200).json(json!({ "error": { "message": bearer } }))).await,
    ] {
        assert!(error.message.contains("[redacted] at https://s3.test/x?[redacted] please"), "{error}");
        assert!(!error.message.contains("test-only"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_of_credentials_quotes_nothing() {
    for answer in [
        error(modal, reply(401).text("key wk-te…ey is wrong")).await,
        error(openai, reply(401).json(json!({ "error": { "message": "key sk-te***ken is wrong" } }))).await,
        error(openai, reply(200).json(json!({ "error": { "code": 401, "message": "key sk-te***ken" } })))
            .await,
    ] {
        assert_eq!(answer.code, ErrorCode::Unauthorized, "{answer}");
        assert!(!answer.message.contains("-te"), "{answer}");
    }
}

#[tokio::test]
async fn what_an_error_quotes_is_bounded_and_printable() {
    let error = error(modal, reply(500).text("\u{1b}[31m".repeat(2000))).await;

    assert!(error.message.chars().count() <= CallError::MAX_MESSAGE_CHARS);
    assert!(!error.message.chars().any(char::is_control));
}
