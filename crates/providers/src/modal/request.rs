//! The request that the deployed web functions take.

use beacon_domain::CallRequest;
use bytes::Bytes;
use serde::Serialize;

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    prompt: &'a str,
    temperature: f64,
    max_tokens: u32,
    region: &'a str,
}

pub(crate) fn encode(request: &CallRequest, model: &str) -> Bytes {
    let ask = Ask {
        model,
        prompt: &request.prompt,
        temperature: request.sampling.temperature,
        max_tokens: request.sampling.max_tokens,
        region: request.region.as_str(),
    };
    serde_json::to_vec(&ask).expect("strings and numbers are always JSON").into()
}
