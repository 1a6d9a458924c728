//! A backend made of a function, for embedding and for tests.

use std::{future::Future, pin::Pin};

use async_trait::async_trait;
use beacon_domain::{
    Answer, Backend, CallContext, CallError, CallRequest, EndpointInfo, Monotonic, ProbeReport,
};

type Answering = Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send>>;

/// Answers every call with an async function.
pub struct FunctionBackend {
    info: EndpointInfo,
    function: Box<dyn Fn(CallRequest, CallContext) -> Answering + Send + Sync>,
}

impl FunctionBackend {
    /// An endpoint that this function answers.
    pub fn new<F, A>(info: EndpointInfo, function: F) -> Self
    where
        F: Fn(CallRequest, CallContext) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Answer, CallError>> + Send + 'static,
    {
        Self { info, function: Box::new(move |request, context| Box::pin(function(request, context))) }
    }
}

#[async_trait]
impl Backend for FunctionBackend {
    async fn call(&self, request: &CallRequest, context: &CallContext) -> Result<Answer, CallError> {
        (self.function)(request.clone(), context.clone()).await
    }

    fn describe(&self) -> &EndpointInfo {
        &self.info
    }

    async fn probe(&self, _deadline: Monotonic) -> ProbeReport {
        ProbeReport { findings: Vec::new() }
    }
}
