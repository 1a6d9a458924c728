//! Modal web functions that speak Beacon's request and answer.

pub(crate) mod classify;
mod wire;

use async_trait::async_trait;
use beacon_domain::{
    Answer, Backend, CallContext, CallError, CallRequest, EndpointInfo, Monotonic, ProbeReport,
};

use crate::{exchange::HttpEndpoint, probe};

/// One web function.
pub(crate) struct ModalWeb {
    http: HttpEndpoint,
}

impl ModalWeb {
    pub(crate) const fn new(http: HttpEndpoint) -> Self {
        Self { http }
    }
}

#[async_trait]
impl Backend for ModalWeb {
    async fn call(&self, request: &CallRequest, context: &CallContext) -> Result<Answer, CallError> {
        let body = wire::encode(request, self.http.upstream_model())?;
        let fetched = self.http.fetch(body, context, classify::classify).await?;
        wire::decode(&fetched, request, self.http.upstream_model())
    }

    fn describe(&self) -> &EndpointInfo {
        &self.http.info
    }

    async fn probe(&self, deadline: Monotonic) -> ProbeReport {
        probe::probe(&self.http, deadline).await
    }
}
