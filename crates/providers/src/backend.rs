//! The port to a provider that is called over HTTP. What differs between providers is their dialect.

use async_trait::async_trait;
use beacon_domain::{
    Answer, Backend, CallContext, CallError, CallRequest, EndpointInfo, Monotonic, ProbeReport,
};
use bytes::Bytes;

use crate::{
    endpoint::HttpEndpoint,
    exchange::{Exchange, Fetched},
    probe,
    refusal::Refusal,
};

/// How a provider writes requests, answers and errors. Pure functions, all of them.
pub(crate) trait Dialect: Send + Sync {
    /// The body of the POST.
    fn encode(&self, request: &CallRequest) -> Bytes;

    /// Reads a status that is no answer.
    fn classify(&self, refusal: &Refusal<'_>) -> CallError;

    /// Reads an answer and compares it with what was asked (C6).
    fn decode(&self, fetched: &Fetched, request: &CallRequest) -> Result<Answer, CallError>;
}

/// One endpoint in one dialect.
pub(crate) struct HttpBackend<D> {
    endpoint: HttpEndpoint,
    dialect: D,
}

impl<D: Dialect> HttpBackend<D> {
    pub(crate) const fn new(endpoint: HttpEndpoint, dialect: D) -> Self {
        Self { endpoint, dialect }
    }

    async fn attempt(&self, request: &CallRequest, context: &CallContext) -> Result<Answer, CallError> {
        let exchange = Exchange { endpoint: &self.endpoint, dialect: &self.dialect, context };
        let fetched = exchange.fetch(self.dialect.encode(request)).await?;
        self.dialect.decode(&fetched, request)
    }
}

#[async_trait]
impl<D: Dialect> Backend for HttpBackend<D> {
    async fn call(&self, request: &CallRequest, context: &CallContext) -> Result<Answer, CallError> {
        // The one place where errors leave, so the one place where secrets are held back.
        self.attempt(request, context).await.map_err(|error| self.endpoint.credentials.scrub(error))
    }

    fn describe(&self) -> &EndpointInfo {
        &self.endpoint.info
    }

    async fn probe(&self, deadline: Monotonic) -> ProbeReport {
        probe::probe(&self.endpoint, deadline).await
    }
}
