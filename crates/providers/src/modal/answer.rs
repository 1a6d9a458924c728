//! Both answer schemas of the deployed web functions, with errors inside HTTP 200 (C5, C6).

use std::time::Duration;

use beacon_domain::{Answer, CallError, CallRequest, ErrorCode, Stage, Usage};
use beacon_spec::{ModelId, Region};
use serde_json::{Map, Value};

use crate::{
    exchange::Fetched,
    json::{in_answer, malformed, model_mismatch, object, unix_time},
};

/// Texts of errors inside an answer, and what they mean. `_` counts as a space.
const MEANINGS: [(ErrorCode, &[&str]); 7] = [
    (ErrorCode::UnknownModel, &["unknown model", "model not found"]),
    (ErrorCode::RejectedInput, &["prompt is required", "invalid input", "invalid request"]),
    (ErrorCode::SpendLimit, &["spend limit"]),
    (ErrorCode::Throttled, &["rate limit", "throttled"]),
    (ErrorCode::Preempted, &["out of memory", "terminated by signal", "preempted"]),
    (ErrorCode::ProviderTimeout, &["timeout", "timed out"]),
    (ErrorCode::ProviderCancelled, &["cancelled", "canceled"]),
];

/// Reads an answer. Fields that only describe it may be missing or of any type; they never cost a paid answer.
pub(crate) fn decode(fetched: &Fetched, request: &CallRequest, upstream: &str) -> Result<Answer, CallError> {
    let reply = object(&fetched.body)?;
    let (success, status) = (reply.get("success"), reply.get("status").and_then(Value::as_str));
    if success == Some(&Value::Bool(false)) || status == Some("error") || error_of(&reply).is_some() {
        return Err(failed(&reply));
    }
    if success != Some(&Value::Bool(true)) && status != Some("success") {
        return Err(malformed("the answer says neither success nor error"));
    }
    let text = ["response", "output", "text"].iter().find_map(|name| present(&reply, name));
    let text = text.ok_or_else(|| malformed("the answer has none of response, output, text"))?;
    let text = text.as_str().ok_or_else(|| malformed("the answer's text is not a string"))?.to_owned();
    let details = reply.get("receipt").and_then(|receipt| receipt.get("execution_details"));
    if let Some(details) = details.and_then(Value::as_object) {
        model(details, request, upstream)?;
        region(details, request)?;
    }
    let seconds = reply.get("inference_time").and_then(Value::as_f64);
    Ok(Answer {
        text,
        model_observed: model(&reply, request, upstream)?,
        region_observed: region(&reply, request)?,
        usage: Usage {
            completion_tokens: reply.get("tokens_generated").and_then(Value::as_u64),
            provider_time: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            ..Usage::default()
        },
        finish_reason: reply.get("finish_reason").and_then(Value::as_str).map(str::to_owned),
        system_fingerprint: None,
        provider_call_id: fetched.call_id.clone(),
        provider_started_at: details.and_then(|details| unix_time(details.get("started_at")?)),
        redirects: fetched.redirects,
    })
}

fn present<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// What stands in `failure` or `error`, if it says anything.
fn error_of(reply: &Map<String, Value>) -> Option<&Value> {
    let says_something =
        |value: &&Value| !matches!(value.as_str(), Some("")) && **value != Value::Bool(false);
    present(reply, "failure").or_else(|| present(reply, "error").filter(says_something))
}

fn model(
    object: &Map<String, Value>,
    request: &CallRequest,
    upstream: &str,
) -> Result<Option<ModelId>, CallError> {
    let Some(model) = present(object, "model") else { return Ok(None) };
    let name = model.as_str().ok_or_else(|| malformed("the answer's model is not a string"))?;
    if name != request.model.as_str() && name != upstream {
        return Err(model_mismatch(upstream, name));
    }
    Ok(ModelId::new(name).ok())
}

fn region(object: &Map<String, Value>, request: &CallRequest) -> Result<Option<Region>, CallError> {
    let Some(region) = present(object, "region") else { return Ok(None) };
    let name = region.as_str().ok_or_else(|| malformed("the answer's region is not a string"))?;
    match name.parse::<Region>() {
        Ok(region) if region == request.region => Ok(Some(region)),
        _ => {
            let message = format!(
                "asked {}, the answer is from {name}; check that inference_url is this region's",
                request.region
            );
            Err(CallError::new(ErrorCode::RegionMismatch, Stage::Check, message))
        }
    }
}

fn failed(reply: &Map<String, Value>) -> CallError {
    let told = error_of(reply);
    let field = |name: &str| told.and_then(|told| told.get(name)).and_then(Value::as_str);
    let whole = || told.map(|told| told.as_str().map_or_else(|| told.to_string(), str::to_owned));
    let text = field("message").map(str::to_owned).or_else(whole);
    let text = text.unwrap_or_else(|| "the endpoint gave no reason".to_owned());
    let all = format!("{} {text}", field("code").unwrap_or_default()).to_ascii_lowercase().replace('_', " ");
    let meant = MEANINGS.iter().find(|(_, texts)| texts.iter().any(|text| all.contains(text)));
    in_answer(meant.map_or(ErrorCode::EndpointFailed, |(code, _)| *code), &text)
}

#[cfg(test)]
mod tests {
    use beacon_spec::Sampling;
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::json::arbitrary;

    const FIELDS: &[&str] = &[
        "success",
        "status",
        "response",
        "output",
        "text",
        "error",
        "failure",
        "model",
        "region",
        "receipt",
        "execution_details",
        "inference_time",
        "tokens_generated",
        "finish_reason",
        "code",
        "message",
    ];

    fn read(body: &[u8]) -> Result<Answer, CallError> {
        let fetched = Fetched { body: Bytes::copy_from_slice(body), redirects: 0, call_id: None };
        let request = CallRequest {
            model: ModelId::new("m").unwrap(),
            region: Region::EuWest,
            prompt: "p".into(),
            sampling: Sampling::default(),
        };
        decode(&fetched, &request, "m")
    }

    proptest! {
        // C7
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&body).is_err(), "random bytes are no answer");
        }

        #[test]
        fn no_object_makes_it_panic(body in arbitrary::object(FIELDS)) {
            if let Err(error) = read(body.to_string().as_bytes()) {
                prop_assert!(error.message.chars().count() <= CallError::MAX_MESSAGE_CHARS);
            }
        }

        #[test]
        fn no_side_information_makes_it_panic_and_text_is_kept(
            text in any::<String>(),
            mut body in arbitrary::object(&["inference_time", "tokens_generated", "finish_reason", "receipt", "x"]),
        ) {
            body["success"] = Value::Bool(true);
            body["response"] = Value::String(text.clone());

            prop_assert_eq!(read(body.to_string().as_bytes()).map(|answer| answer.text), Ok(text));
        }
    }
}
