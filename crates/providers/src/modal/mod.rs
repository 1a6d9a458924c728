//! Modal web functions that speak Beacon's request and answer.

mod answer;
pub(crate) mod classify;
mod request;

use beacon_domain::{Answer, CallError, CallRequest};
use bytes::Bytes;

use crate::{backend::Dialect, config::EndpointConfig, exchange::Fetched, refusal::Refusal};

/// The dialect of one web function.
pub(crate) struct Modal {
    model: String,
}

impl Modal {
    pub(crate) fn new(config: &EndpointConfig) -> Self {
        Self { model: config.name_at_the_server().to_owned() }
    }
}

impl Dialect for Modal {
    fn encode(&self, request: &CallRequest) -> Bytes {
        request::encode(request, &self.model)
    }

    fn classify(&self, refusal: &Refusal<'_>) -> CallError {
        classify::classify(refusal)
    }

    fn decode(&self, fetched: &Fetched, request: &CallRequest) -> Result<Answer, CallError> {
        answer::decode(fetched, request, &self.model)
    }
}
