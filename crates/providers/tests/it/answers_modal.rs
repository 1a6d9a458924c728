//! Both answer schemas of the web functions, errors inside HTTP 200, and the comparison with what was asked (C5, C6).

use std::time::Duration;

use beacon_domain::{Answer, CallError, ErrorCode, Stage};
use beacon_spec::Region;
use beacon_testkit::{ManualClock, Script, ScriptedEndpoint, reply};
use serde_json::{Value, json};

use crate::support::{
    call::call,
    endpoints::{backend, modal, modal_answer},
};

async fn answered(body: Value) -> Result<Answer, CallError> {
    let endpoint = ScriptedEndpoint::start(Script::new().then(reply(200).json(body))).await;
    call(&backend(&modal(&endpoint.url("/")), ManualClock::new())).result().await
}

/// The good answer with some fields replaced; `null` takes a field out.
fn with(changes: Value) -> Value {
    let mut answer = modal_answer();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            answer.as_object_mut().unwrap().remove(name);
        } else {
            answer[name] = value.clone();
        }
    }
    answer
}

#[tokio::test]
async fn everything_that_the_answer_tells_is_kept() {
    let answer = answered(modal_answer()).await.unwrap();

    assert_eq!(answer.text, "yes");
    assert_eq!(answer.model_observed.unwrap().as_str(), "llama3.2-1b");
    assert_eq!(answer.region_observed, Some(Region::AsiaPacific), "asia-southeast is an alias");
    assert_eq!(answer.usage.completion_tokens, Some(3));
    assert_eq!(answer.usage.provider_time, Some(Duration::from_millis(1500)));
    assert_eq!((answer.usage.prompt_tokens, answer.usage.cost_micros), (None, None), "unknown is not zero");
    assert_eq!((answer.redirects, answer.provider_call_id), (0, None));
}

#[tokio::test]
async fn both_schemas_and_all_three_names_of_the_text_are_understood() {
    for body in [
        json!({ "status": "success", "response": "yes" }),
        json!({ "success": true, "output": "yes" }),
        json!({ "success": true, "response": null, "text": "yes" }),
        json!({ "success": true, "response": "yes", "error": null, "failure": null }),
        json!({ "success": true, "response": "yes", "error": "" }),
    ] {
        assert_eq!(answered(body.clone()).await.unwrap().text, "yes", "{body}");
    }
}

#[tokio::test]
async fn empty_text_is_an_answer() {
    // C5
    assert_eq!(answered(with(json!({ "response": "" }))).await.unwrap().text, "");
}

#[tokio::test]
async fn text_is_kept_as_it_came() {
    let text = " \u{1F600}\r\n\u{0} <b>\u{2028}";

    assert_eq!(answered(with(json!({ "response": text }))).await.unwrap().text, text);
}

#[tokio::test]
async fn strange_side_information_costs_no_answer() {
    let strange =
        json!({ "inference_time": "fast", "tokens_generated": -1, "finish_reason": 7, "receipt": [] });

    let answer = answered(with(strange)).await.unwrap();

    assert_eq!(answer.text, "yes");
    assert_eq!((answer.usage.completion_tokens, answer.usage.provider_time), (None, None));
}

async fn check(body: Value, code: ErrorCode, stage: Stage, message: &str) {
    let error = answered(body.clone()).await.unwrap_err();

    assert_eq!((error.code, error.stage), (code, stage), "{body}: {error}");
    assert!(error.message.contains(message), "{message}: {error}");
    assert!(!error.surely_not_started);
}

#[tokio::test]
async fn an_error_inside_http_200_is_an_error_with_its_code() {
    // C5
    let failure = json!({ "failure": { "code": "SPEND_LIMIT", "stage": "x", "message": "no money" } });
    for (body, code, message) in [
        (json!({ "status": "error", "error": "Prompt is required" }), ErrorCode::RejectedInput, "Prompt"),
        (
            json!({ "status": "error", "error": "Unknown model: X" }),
            ErrorCode::UnknownModel,
            "Unknown model: X",
        ),
        (with(json!({ "success": false, "error": "CUDA out of memory" })), ErrorCode::Preempted, "CUDA"),
        (json!({ "success": false, "error": "Task timed out" }), ErrorCode::ProviderTimeout, "timed out"),
        (json!({ "success": false, "error": "input was cancelled" }), ErrorCode::ProviderCancelled, "input"),
        (json!({ "success": false, "error": "rate limit" }), ErrorCode::Throttled, "rate limit"),
        (json!({ "success": false, "error": "KeyError('x')" }), ErrorCode::EndpointFailed, "KeyError"),
        (json!({ "success": false, "error": { "a": 1 } }), ErrorCode::EndpointFailed, "{\"a\":1}"),
        (json!({ "success": false }), ErrorCode::EndpointFailed, "gave no reason"),
        (with(json!({ "error": "half done" })), ErrorCode::EndpointFailed, "half done"),
        (with(failure), ErrorCode::SpendLimit, "no money"),
    ] {
        check(body, code, Stage::Body, message).await;
    }
}

#[tokio::test]
async fn a_missing_or_misshapen_field_is_a_protocol_error() {
    // C5
    for (body, message) in [
        (json!({}), "neither success nor error"),
        (json!({ "response": "yes" }), "neither success nor error"),
        (json!({ "success": "true", "response": "yes" }), "neither success nor error"),
        (with(json!({ "response": null })), "none of response, output, text"),
        (with(json!({ "response": 7 })), "text is not a string"),
        (with(json!({ "model": 7 })), "model is not a string"),
        (with(json!({ "region": ["eu"] })), "region is not a string"),
    ] {
        check(body, ErrorCode::MalformedAnswer, Stage::Body, message).await;
    }
}

#[tokio::test]
async fn an_answer_from_elsewhere_is_never_a_result() {
    // C6
    let receipt = |name: &str, value: &str| json!({ "receipt": { "execution_details": { name: value } } });
    for body in [json!({ "region": "us-east" }), json!({ "region": "mars-1" }), receipt("region", "eu-west")]
    {
        check(with(body), ErrorCode::RegionMismatch, Stage::Check, "asked asia-pacific").await;
    }
    for body in [json!({ "model": "mistral-7b" }), json!({ "model": "" }), receipt("model", "mistral-7b")] {
        check(with(body), ErrorCode::ModelMismatch, Stage::Check, "asked llama3.2-1b").await;
    }
}

#[tokio::test]
async fn a_model_may_go_by_its_name_at_the_server() {
    let body = with(json!({ "model": "meta-llama/Llama-3.2-1B", "receipt": null }));
    let endpoint = ScriptedEndpoint::start(Script::new().then(reply(200).json(body))).await;
    let text = modal(&endpoint.url("/")) + "upstream_model = \"meta-llama/Llama-3.2-1B\"\n";

    let answer = call(&backend(&text, ManualClock::new())).answer().await;

    assert_eq!(answer.model_observed.unwrap().as_str(), "meta-llama/Llama-3.2-1B");
    assert_eq!(endpoint.requests()[0].json()["model"], "meta-llama/Llama-3.2-1B");
}

#[tokio::test]
async fn what_an_answer_does_not_tell_is_not_made_up() {
    let answer = answered(json!({ "success": true, "response": "yes" })).await.unwrap();

    assert_eq!((answer.model_observed, answer.region_observed), (None, None));
}
