//! One call with everything that it may use.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{
    Answer, AttemptId, Backend, CallContext, CallError, CallRequest, Checkpoint, CheckpointError,
    ExecutionId, JobId, Monotonic, ResumeToken, SpanId,
};
use beacon_spec::{ModelId, Region, Sampling};
use beacon_testkit::ScriptedEndpoint;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Every call's deadline unless a test says otherwise.
pub(crate) const DEADLINE: Duration = Duration::from_secs(900);
/// Only ends a test that would hang otherwise.
const SAFETY_NET: Duration = Duration::from_secs(120);

/// One call that is about to be made.
#[derive(Clone)]
pub(crate) struct Call {
    backend: Arc<dyn Backend>,
    pub(crate) request: CallRequest,
    pub(crate) context: CallContext,
}

pub(crate) fn call(backend: &Arc<dyn Backend>) -> Call {
    let execution = ExecutionId { job: JobId::from_bytes([1; 16]), n: 5 };
    Call {
        backend: Arc::clone(backend),
        request: CallRequest {
            model: ModelId::new("llama3.2-1b").unwrap(),
            region: Region::AsiaPacific,
            prompt: "Is it?".into(),
            sampling: Sampling { temperature: 0.1, max_tokens: 500, top_p: Some(0.9), seed: Some(7) },
        },
        context: CallContext {
            attempt: AttemptId { execution, number: 2 },
            deadline: Monotonic(DEADLINE),
            stop: CancellationToken::new(),
            resume: None,
            checkpoint: Arc::new(Saved::default()),
            trace_id: "trace-1".into(),
            span: SpanId::of_claim(AttemptId { execution, number: 2 }, 1),
        },
    }
}

impl Call {
    pub(crate) fn resuming(mut self, token: &str) -> Self {
        self.context.resume = Some(ResumeToken(token.to_owned()));
        self
    }

    pub(crate) fn saving_to(mut self, checkpoint: Arc<dyn Checkpoint>) -> Self {
        self.context.checkpoint = checkpoint;
        self
    }

    pub(crate) async fn result(self) -> Result<Answer, CallError> {
        let called = self.backend.call(&self.request, &self.context);
        tokio::time::timeout(SAFETY_NET, called).await.expect("the call never ended")
    }

    pub(crate) async fn answer(self) -> Answer {
        self.result().await.unwrap()
    }

    pub(crate) async fn error(self) -> CallError {
        self.result().await.unwrap_err()
    }

    pub(crate) fn start(self) -> JoinHandle<Result<Answer, CallError>> {
        tokio::spawn(self.result())
    }
}

/// A checkpoint that keeps what it is given, and what the endpoint had seen by then.
#[derive(Default)]
pub(crate) struct Saved {
    tokens: Mutex<Vec<(String, Vec<String>)>>,
    endpoint: Option<Arc<ScriptedEndpoint>>,
}

impl Saved {
    pub(crate) fn watching(endpoint: &Arc<ScriptedEndpoint>) -> Arc<Self> {
        Arc::new(Self { tokens: Mutex::default(), endpoint: Some(Arc::clone(endpoint)) })
    }

    /// Each token, with the methods of the requests that the endpoint had seen when it was saved.
    pub(crate) fn tokens(&self) -> Vec<(String, Vec<String>)> {
        self.tokens.lock().unwrap().clone()
    }
}

#[async_trait]
impl Checkpoint for Saved {
    async fn save(&self, token: ResumeToken) -> Result<(), CheckpointError> {
        // Whoever does not wait for the checkpoint gets ahead of it here.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let seen = self.endpoint.as_ref().map(|endpoint| endpoint.methods()).unwrap_or_default();
        self.tokens.lock().unwrap().push((token.0, seen));
        Ok(())
    }
}

/// A checkpoint that fails.
pub(crate) struct Failing(pub(crate) fn() -> CheckpointError);

#[async_trait]
impl Checkpoint for Failing {
    async fn save(&self, _: ResumeToken) -> Result<(), CheckpointError> {
        Err(self.0())
    }
}
