//! Chat completions read back (C5, C6).

use beacon_domain::{Answer, CallError, ErrorCode, Usage};
use beacon_spec::ModelId;
use serde_json::{Map, Value};

use super::classify;
use crate::{
    exchange::Fetched,
    json::{in_answer, malformed, model_mismatch, object},
    refusal::status_code,
};

/// Reads an answer. Fields that only describe it may be missing or of any type; they never cost a paid answer.
pub(crate) fn decode(fetched: &Fetched, upstream: &str) -> Result<Answer, CallError> {
    let reply = object(&fetched.body)?;
    if let Some(told) = classify::read(&reply) {
        let code = told.code.or(told.status.map(status_code)).unwrap_or(ErrorCode::EndpointFailed);
        let text = if code == ErrorCode::Unauthorized { classify::CREDENTIALS } else { &told.text };
        return Err(in_answer(code, text));
    }
    let text_of =
        |object: &Map<String, Value>, name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let choice = reply.get("choices").and_then(Value::as_array).and_then(|choices| choices.first());
    let choice = choice.and_then(Value::as_object).ok_or_else(|| malformed("the answer has no choices"))?;
    let message = choice.get("message").and_then(Value::as_object);
    let message = message.ok_or_else(|| malformed("the answer's first choice has no message"))?;
    let model = text_of(&reply, "model");
    if let Some(model) = model.as_ref().filter(|model| !is_form_of(model, upstream)) {
        return Err(model_mismatch(upstream, model));
    }
    let tokens = |name: &str| reply.get("usage").and_then(|usage| usage.get(name)).and_then(Value::as_u64);
    Ok(Answer {
        text: text(message)?,
        model_observed: model.and_then(|model| ModelId::new(model).ok()),
        region_observed: None,
        usage: Usage {
            prompt_tokens: tokens("prompt_tokens"),
            completion_tokens: tokens("completion_tokens"),
            ..Usage::default()
        },
        finish_reason: text_of(choice, "finish_reason"),
        system_fingerprint: text_of(&reply, "system_fingerprint"),
        provider_call_id: text_of(&reply, "id").or_else(|| fetched.call_id.clone()),
        // `created` says when the completion was made, not when work began.
        provider_started_at: None,
        redirects: fetched.redirects,
    })
}

/// What the model said. A refusal is what it said, too; `content: null` without one is an empty answer, as of a model whose
/// reasoning used up its tokens.
fn text(message: &Map<String, Value>) -> Result<String, CallError> {
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|text| !text.is_empty());
    let calls_a_tool = ["tool_calls", "function_call"].iter().any(|name| {
        message
            .get(*name)
            .is_some_and(|calls| !calls.is_null() && calls.as_array().is_none_or(|c| !c.is_empty()))
    });
    match message.get("content") {
        Some(Value::String(text)) if !text.is_empty() || refusal.is_none() => Ok(text.clone()),
        Some(Value::Array(parts)) => parts.iter().map(part).collect(),
        Some(Value::Null | Value::String(_)) | None if refusal.is_some() => {
            Ok(refusal.unwrap_or_default().to_owned())
        }
        Some(Value::Null) | None if calls_a_tool => Err(malformed(
            "the model called a tool, and none was offered; turn tool parsing off at the server",
        )),
        Some(Value::Null) => Ok(String::new()),
        Some(_) => Err(malformed("the answer's message.content is neither text nor parts")),
        None => Err(malformed("the answer's first choice has no message.content")),
    }
}

/// One part of an answer; the model's thoughts are not part of what it said.
fn part(part: &Value) -> Result<&str, CallError> {
    let field = |name: &str| part.get(name).and_then(Value::as_str);
    match field("type") {
        Some("text" | "output_text") => field("text"),
        Some("refusal") => field("refusal"),
        Some("thinking" | "reasoning") => Some(""),
        _ => None,
    }
    .ok_or_else(|| malformed("a part of the answer's message.content is not text"))
}

/// The name itself, or the same with its date or version: `gpt-4o-2024-08-06` for `gpt-4o`, `llama3.2:latest` for
/// `llama3.2`. `gpt-4o-mini` is another model than `gpt-4o`.
pub(crate) fn is_form_of(observed: &str, asked: &str) -> bool {
    let Some(rest) = observed.strip_prefix(asked) else { return false };
    let is_version = |version: &str| {
        !version.is_empty()
            && version.split('-').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    rest.is_empty() || rest == ":latest" || rest.strip_prefix(['-', '@']).is_some_and(is_version)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::json::arbitrary;

    const FIELDS: &[&str] = &[
        "choices",
        "message",
        "content",
        "refusal",
        "tool_calls",
        "type",
        "text",
        "error",
        "object",
        "detail",
        "code",
        "model",
        "id",
        "usage",
        "prompt_tokens",
        "finish_reason",
        "system_fingerprint",
    ];

    fn read(body: &[u8]) -> Result<Answer, CallError> {
        let fetched = Fetched { body: Bytes::copy_from_slice(body), redirects: 0, call_id: None };
        decode(&fetched, "m")
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
        fn no_message_makes_it_panic_and_text_is_kept(text in any::<String>(), rest in arbitrary::object(FIELDS)) {
            let mut message = rest;
            message["content"] = Value::String(text.clone());
            message["refusal"] = Value::Null;
            let body = serde_json::json!({ "choices": [{ "message": message }] }).to_string();

            prop_assert_eq!(read(body.as_bytes()).map(|answer| answer.text), Ok(text));
        }
    }

    fn check(observed: &str, asked: &str, same: bool) {
        assert_eq!(is_form_of(observed, asked), same, "{observed} for {asked}");
    }

    #[test]
    fn a_model_may_be_named_with_its_version_but_not_be_another() {
        // C6
        check("gpt-4o", "gpt-4o", true);
        check("gpt-4o-2024-08-06", "gpt-4o", true);
        check("gpt-4-0613", "gpt-4", true);
        check("gemini-1.5-pro@001", "gemini-1.5-pro", true);
        check("llama3.2:latest", "llama3.2", true);
        check("gpt-4o-mini", "gpt-4o", false);
        check("gpt-4o-mini-2024-07-18", "gpt-4o", false);
        check("gpt-4o1", "gpt-4o", false);
        check("llama3.2:70b", "llama3.2", false);
        check("gpt-4o-", "gpt-4o", false);
        check("gpt-4", "gpt-4o", false);
    }
}
