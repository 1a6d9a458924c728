//! Beacon's request and both of its answer schemas, with errors inside HTTP 200 (C5, C6).

use std::time::Duration;

use beacon_domain::{Answer, CallError, CallRequest, ErrorCode, Stage, Usage};
use beacon_spec::{ModelId, Region};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exchange::Fetched;

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    prompt: &'a str,
    temperature: f64,
    max_tokens: u32,
    region: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    success: Option<Value>,
    status: Option<Value>,
    response: Option<Value>,
    output: Option<Value>,
    text: Option<Value>,
    error: Option<Value>,
    failure: Option<Value>,
    model: Option<Value>,
    region: Option<Value>,
    inference_time: Option<f64>,
    tokens_generated: Option<u64>,
    finish_reason: Option<String>,
}

pub(crate) fn encode(request: &CallRequest, model: &str) -> Result<Bytes, CallError> {
    let ask = Ask {
        model,
        prompt: &request.prompt,
        temperature: request.sampling.temperature,
        max_tokens: request.sampling.max_tokens,
        region: request.region.as_str(),
    };
    serde_json::to_vec(&ask).map(Bytes::from).map_err(|_| {
        CallError::new(ErrorCode::Internal, Stage::Request, "the request cannot be written as JSON")
    })
}

pub(crate) fn decode(fetched: &Fetched, request: &CallRequest, upstream: &str) -> Result<Answer, CallError> {
    let reply: Reply = serde_json::from_slice(&fetched.body)
        .map_err(|_| malformed("the answer is not the JSON object expected"))?;
    let status = reply.status.as_ref().and_then(Value::as_str);
    let success = reply.success.as_ref().and_then(Value::as_bool);
    if success == Some(false) || status == Some("error") || reply.failure.is_some() || reply.error.is_some() {
        return Err(failed(&reply));
    }
    if success != Some(true) && status != Some("success") {
        return Err(malformed("the answer says neither success nor error"));
    }
    let text = reply.response.as_ref().or(reply.output.as_ref()).or(reply.text.as_ref());
    let text = text.ok_or_else(|| malformed("the answer has none of response, output, text"))?;
    let text = text.as_str().ok_or_else(|| malformed("the answer's text is not a string"))?.to_owned();
    Ok(Answer {
        text,
        model_observed: model(&reply, request, upstream)?,
        region_observed: region(&reply, request)?,
        usage: Usage {
            completion_tokens: reply.tokens_generated,
            provider_time: reply.inference_time.and_then(|s| Duration::try_from_secs_f64(s).ok()),
            ..Usage::default()
        },
        finish_reason: reply.finish_reason,
        system_fingerprint: None,
        provider_call_id: fetched.call_id.clone(),
        redirects: fetched.redirects,
    })
}

fn model(reply: &Reply, request: &CallRequest, upstream: &str) -> Result<Option<ModelId>, CallError> {
    let Some(model) = &reply.model else { return Ok(None) };
    let name = model.as_str().ok_or_else(|| malformed("the answer's model is not a string"))?;
    if name != request.model.as_str() && name != upstream {
        let message = format!("asked {}, the answer is from {name}", request.model);
        return Err(CallError::new(ErrorCode::ModelMismatch, Stage::Check, message));
    }
    Ok(ModelId::new(name).ok())
}

fn region(reply: &Reply, request: &CallRequest) -> Result<Option<Region>, CallError> {
    let Some(region) = &reply.region else { return Ok(None) };
    let name = region.as_str().ok_or_else(|| malformed("the answer's region is not a string"))?;
    match name.parse::<Region>() {
        Ok(region) if region == request.region => Ok(Some(region)),
        _ => {
            let message = format!("asked {}, the answer is from {name}", request.region);
            Err(CallError::new(ErrorCode::RegionMismatch, Stage::Check, message))
        }
    }
}

fn failed(reply: &Reply) -> CallError {
    let field =
        |name: &str| reply.failure.as_ref().and_then(|failure| failure.get(name)).and_then(Value::as_str);
    let error =
        reply.error.as_ref().map(|error| error.as_str().map_or_else(|| error.to_string(), str::to_owned));
    let text = field("message")
        .map(str::to_owned)
        .or(error)
        .unwrap_or_else(|| "the endpoint gave no reason".to_owned());
    let all = format!("{} {text}", field("code").unwrap_or_default()).to_ascii_lowercase().replace('_', " ");
    let has = |needles: &[&str]| needles.iter().any(|needle| all.contains(needle));
    let code = if has(&["unknown model", "model not found"]) {
        ErrorCode::UnknownModel
    } else if has(&["prompt is required", "invalid input", "invalid request"]) {
        ErrorCode::RejectedInput
    } else if has(&["spend limit"]) {
        ErrorCode::SpendLimit
    } else if has(&["rate limit", "throttled"]) {
        ErrorCode::Throttled
    } else if has(&["out of memory", "terminated by signal", "preempted"]) {
        ErrorCode::Preempted
    } else if has(&["timeout", "timed out"]) {
        ErrorCode::ProviderTimeout
    } else if has(&["cancelled", "canceled"]) {
        ErrorCode::ProviderCancelled
    } else {
        ErrorCode::EndpointFailed
    };
    let mut error = CallError::new(code, Stage::Body, text);
    error.http_status = Some(200);
    error
}

fn malformed(message: &str) -> CallError {
    let mut error = CallError::new(ErrorCode::MalformedAnswer, Stage::Body, message);
    error.http_status = Some(200);
    error
}
