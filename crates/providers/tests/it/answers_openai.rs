//! Chat completions of OpenAI and its imitators (C5, C6).

use beacon_domain::{Answer, CallError, ErrorCode, Stage};
use beacon_testkit::{ManualClock, Script, ScriptedEndpoint, reply};
use serde_json::{Value, json};

use crate::support::{
    call::call,
    endpoints::{backend, openai, openai_answer},
};

async fn answered(body: Value) -> Result<Answer, CallError> {
    let endpoint = ScriptedEndpoint::start(Script::new().then(reply(200).json(body))).await;
    call(&backend(&openai(&endpoint.url("/")), ManualClock::new())).result().await
}

/// The good answer with another message and finish reason.
fn saying(message: Value, finish_reason: &str) -> Value {
    let mut answer = openai_answer();
    answer["choices"] = json!([{ "index": 0, "finish_reason": finish_reason, "message": message }]);
    answer
}

fn with(name: &str, value: Value) -> Value {
    let mut answer = openai_answer();
    answer[name] = value;
    answer
}

#[tokio::test]
async fn everything_that_the_answer_tells_is_kept() {
    let answer = answered(openai_answer()).await.unwrap();

    assert_eq!(answer.text, "yes");
    assert_eq!(answer.model_observed.unwrap().as_str(), "llama3.2:1b");
    assert_eq!((answer.usage.prompt_tokens, answer.usage.completion_tokens), (Some(11), Some(3)));
    assert_eq!(answer.finish_reason.as_deref(), Some("stop"));
    assert_eq!(answer.system_fingerprint.as_deref(), Some("fp_1"));
    assert_eq!(answer.provider_call_id.as_deref(), Some("chatcmpl-1"));
    assert_eq!((answer.region_observed, answer.usage.provider_time), (None, None), "unknown is not made up");
}

#[tokio::test]
async fn whatever_the_model_said_is_the_answer() {
    // C5
    let part = |kind: &str, field: &str, text: &str| json!({ "type": kind, field: text });
    let parts =
        json!([part("thinking", "thinking", "hm"), part("text", "text", "a "), part("text", "text", "b")]);
    for (message, finish_reason, text) in [
        (json!({ "content": "" }), "stop", ""),
        (json!({ "content": null, "reasoning_content": "long thoughts" }), "length", ""),
        (json!({ "content": null }), "content_filter", ""),
        (json!({ "content": null, "tool_calls": [] }), "stop", ""),
        (json!({ "content": parts }), "stop", "a b"),
        (json!({ "content": [part("refusal", "refusal", "I will not.")] }), "stop", "I will not."),
        (json!({ "content": null, "refusal": "I will not." }), "stop", "I will not."),
        (json!({ "content": "", "refusal": "I will not." }), "stop", "I will not."),
        (json!({ "content": "yes", "refusal": null }), "stop", "yes"),
    ] {
        let answer = answered(saying(message.clone(), finish_reason)).await.unwrap();

        assert_eq!(
            (answer.text.as_str(), answer.finish_reason.as_deref()),
            (text, Some(finish_reason)),
            "{message}"
        );
    }
}

#[tokio::test]
async fn strange_side_information_costs_no_answer() {
    let mut body = with("usage", json!("much"));
    body["system_fingerprint"] = json!(7);
    body["id"] = json!(null);

    let answer = answered(body).await.unwrap();

    assert_eq!((answer.text.as_str(), answer.usage.prompt_tokens), ("yes", None));
    assert_eq!((answer.system_fingerprint, answer.provider_call_id), (None, None));
}

async fn check(body: Value, code: ErrorCode, stage: Stage, message: &str) {
    let error = answered(body.clone()).await.unwrap_err();

    assert_eq!((error.code, error.stage), (code, stage), "{body}: {error}");
    assert!(error.message.contains(message), "{message}: {error}");
}

#[tokio::test]
async fn a_missing_or_misshapen_field_is_a_protocol_error() {
    // C5
    let call = json!({ "content": null, "tool_calls": [{ "id": "1", "function": { "name": "f" } }] });
    let image = json!({ "content": [{ "type": "image_url", "image_url": {} }] });
    for (body, message) in [
        (json!({}), "no choices"),
        (with("choices", json!([])), "no choices"),
        (with("choices", json!([{ "text": "yes" }])), "no message"),
        (saying(json!({ "role": "assistant" }), "stop"), "no message.content"),
        (saying(json!({ "content": 7 }), "stop"), "neither text nor parts"),
        (saying(image, "stop"), "not text"),
        (saying(call, "tool_calls"), "called a tool, and none was offered"),
    ] {
        check(body, ErrorCode::MalformedAnswer, Stage::Body, message).await;
    }
}

#[tokio::test]
async fn an_error_inside_http_200_is_an_error_with_its_code() {
    // C5
    for (body, code) in [
        (json!({ "error": { "message": "slow down", "code": 429 } }), ErrorCode::Throttled),
        (json!({ "error": { "message": "no money", "code": "402" } }), ErrorCode::SpendLimit),
        (json!({ "error": { "message": "x", "code": "context_length_exceeded" } }), ErrorCode::RejectedInput),
        (json!({ "error": { "message": "it broke" } }), ErrorCode::EndpointFailed),
        (json!({ "error": {} }), ErrorCode::EndpointFailed),
        (json!({ "error": "it broke" }), ErrorCode::EndpointFailed),
        (json!({ "object": "error", "message": "too long", "code": 400 }), ErrorCode::RejectedInput),
        (json!({ "detail": "Not Found" }), ErrorCode::EndpointFailed),
    ] {
        check(body, code, Stage::Body, "").await;
    }
}

#[tokio::test]
async fn an_error_that_says_nothing_is_none() {
    for nothing in [json!(null), json!("")] {
        assert_eq!(answered(with("error", nothing)).await.unwrap().text, "yes");
    }
}

#[tokio::test]
async fn an_answer_from_another_model_is_never_a_result() {
    // C6
    for model in ["llama3.2:3b", "llama3.2", "gpt-4o", ""] {
        let message = "set upstream_model if that is its name there";

        check(with("model", json!(model)), ErrorCode::ModelMismatch, Stage::Check, message).await;
    }
}

#[tokio::test]
async fn a_model_that_is_not_named_is_not_made_up() {
    let answer = answered(with("model", json!(null))).await.unwrap();

    assert_eq!(answer.model_observed, None);
}
