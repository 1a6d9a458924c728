//! Chat completions as OpenAI defines them (<https://platform.openai.com/docs/api-reference/chat>).

mod classify;
mod wire;

use async_trait::async_trait;
use beacon_domain::{
    Answer, Backend, CallContext, CallError, CallRequest, EndpointInfo, Monotonic, ProbeReport,
};

use crate::{exchange::HttpEndpoint, probe};

/// One server's model.
pub(crate) struct OpenAi {
    http: HttpEndpoint,
}

impl OpenAi {
    pub(crate) const fn new(http: HttpEndpoint) -> Self {
        Self { http }
    }
}

#[async_trait]
impl Backend for OpenAi {
    async fn call(&self, request: &CallRequest, context: &CallContext) -> Result<Answer, CallError> {
        let body = wire::encode(request, self.http.upstream_model())?;
        let fetched = self.http.fetch(body, context, classify::classify).await?;
        wire::decode(&fetched, self.http.upstream_model())
    }

    fn describe(&self) -> &EndpointInfo {
        &self.http.info
    }

    async fn probe(&self, deadline: Monotonic) -> ProbeReport {
        probe::probe(&self.http, deadline).await
    }
}
