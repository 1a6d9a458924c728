//! The request for one chat completion.

use beacon_domain::CallRequest;
use bytes::Bytes;
use serde::Serialize;

use crate::config::MaxTokensField;

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    messages: [Message<'a>; 1],
    temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
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

pub(crate) fn encode(request: &CallRequest, model: &str, field: MaxTokensField) -> Bytes {
    let sampling = &request.sampling;
    let most = |wanted: MaxTokensField| (field == wanted).then_some(sampling.max_tokens);
    let ask = Ask {
        model,
        messages: [Message { role: "user", content: &request.prompt }],
        temperature: sampling.temperature,
        max_tokens: most(MaxTokensField::MaxTokens),
        max_completion_tokens: most(MaxTokensField::MaxCompletionTokens),
        top_p: sampling.top_p,
        seed: sampling.seed,
    };
    serde_json::to_vec(&ask).expect("strings and numbers are always JSON").into()
}
