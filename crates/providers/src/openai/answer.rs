//! Chat completion requests and answers (C5, C6).

use beacon_domain::{Answer, CallError, CallRequest, ErrorCode, Stage, Usage};
use beacon_spec::ModelId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exchange::Fetched;

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    messages: [Message<'a>; 1],
    temperature: f64,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    error: Option<Value>,
    id: Option<String>,
    model: Option<String>,
    system_fingerprint: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

pub(crate) fn encode(request: &CallRequest, model: &str) -> Result<Bytes, CallError> {
    let sampling = &request.sampling;
    let ask = Ask {
        model,
        messages: [Message { role: "user", content: &request.prompt }],
        temperature: sampling.temperature,
        max_tokens: sampling.max_tokens,
        top_p: sampling.top_p,
        seed: sampling.seed,
    };
    serde_json::to_vec(&ask).map(Bytes::from).map_err(|_| {
        CallError::new(ErrorCode::Internal, Stage::Request, "the request cannot be written as JSON")
    })
}

pub(crate) fn decode(fetched: &Fetched, upstream: &str) -> Result<Answer, CallError> {
    let reply: Reply = serde_json::from_slice(&fetched.body)
        .map_err(|_| malformed("the answer is not the JSON object expected"))?;
    if let Some(object) = &reply.error {
        let (code, text) =
            super::classify::read(object).unwrap_or((None, "the endpoint gave no reason".to_owned()));
        let mut error = CallError::new(code.unwrap_or(ErrorCode::EndpointFailed), Stage::Body, text);
        error.http_status = Some(200);
        return Err(error);
    }
    let choice = reply.choices.and_then(|choices| choices.into_iter().next());
    let choice = choice.ok_or_else(|| malformed("the answer has no choices"))?;
    let text = choice.message.and_then(|said| said.content);
    let text = text.ok_or_else(|| malformed("the answer's first choice has no message.content"))?;
    if let Some(model) = reply.model.as_ref().filter(|model| !is_form_of(model, upstream)) {
        let message = format!("asked {upstream}, the answer is from {model}");
        return Err(CallError::new(ErrorCode::ModelMismatch, Stage::Check, message));
    }
    let usage = reply.usage.map_or_else(Usage::default, |tokens| Usage {
        prompt_tokens: tokens.prompt_tokens,
        completion_tokens: tokens.completion_tokens,
        ..Usage::default()
    });
    Ok(Answer {
        text,
        model_observed: reply.model.and_then(|model| ModelId::new(model).ok()),
        region_observed: None,
        usage,
        finish_reason: choice.finish_reason,
        system_fingerprint: reply.system_fingerprint,
        provider_call_id: reply.id.or_else(|| fetched.call_id.clone()),
        redirects: fetched.redirects,
    })
}

/// The name itself, or a dated or suffixed form of it: `gpt-4o-2024-08-06` for `gpt-4o`, but not `gpt-4o1`.
fn is_form_of(observed: &str, asked: &str) -> bool {
    observed.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':', '@']))
}

fn malformed(message: &str) -> CallError {
    let mut error = CallError::new(ErrorCode::MalformedAnswer, Stage::Body, message);
    error.http_status = Some(200);
    error
}
