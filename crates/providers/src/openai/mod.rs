//! Chat completions as OpenAI defines them (<https://platform.openai.com/docs/api-reference/chat>), and as vLLM, Ollama,
//! llama.cpp and LiteLLM imitate them.

pub(crate) mod answer;
mod classify;
mod request;

use beacon_domain::{Answer, CallError, CallRequest};
use bytes::Bytes;

use crate::{
    backend::Dialect,
    config::{EndpointConfig, MaxTokensField},
    exchange::Fetched,
    refusal::Refusal,
};

/// The dialect of one server's model.
pub(crate) struct OpenAi {
    model: String,
    max_tokens_field: MaxTokensField,
}

impl OpenAi {
    pub(crate) fn new(config: &EndpointConfig) -> Self {
        Self {
            model: config.name_at_the_server().to_owned(),
            max_tokens_field: config.max_tokens_field.unwrap_or_default(),
        }
    }
}

impl Dialect for OpenAi {
    fn encode(&self, request: &CallRequest) -> Bytes {
        request::encode(request, &self.model, self.max_tokens_field)
    }

    fn classify(&self, refusal: &Refusal<'_>) -> CallError {
        classify::classify(refusal)
    }

    fn decode(&self, fetched: &Fetched, _: &CallRequest) -> Result<Answer, CallError> {
        answer::decode(fetched, &self.model)
    }
}
