//! A worker's way to an endpoint: the calls of one process, with a point of its life at every await.

use std::sync::Arc;

use async_trait::async_trait;
use beacon_domain::{
    Answer, Backend, CallContext, CallError, CallRequest, CheckpointError, Clock, EndpointInfo, ErrorCode,
    LeaseKey, Monotonic, ProbeReport, Stage,
};
use beacon_testkit::faults::Life;

use crate::{
    endpoint::{Endpoint, Posted, error},
    history::Who,
    ledger::Call,
    watched::{SharedLedger, open},
};

/// One endpoint as one process calls it.
pub(crate) struct WorkerBackend {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) who: Who,
    pub(crate) life: Arc<Life>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A connection. The endpoint sees when it is gone, also when the process died.
struct Connection {
    ledger: SharedLedger,
    call: u64,
}

impl Drop for Connection {
    fn drop(&mut self) {
        open(&self.ledger).end(self.call);
    }
}

impl WorkerBackend {
    fn connect(&self, call: Call) -> Connection {
        let ledger = Arc::clone(&self.endpoint.ledger);
        let call = open(&ledger).begin(call);
        Connection { ledger, call }
    }

    async fn follow(&self, call: Call, context: &CallContext) -> Result<Answer, CallError> {
        self.life.point().await;
        let (attempt, key) = (call.attempt, call.key);
        let _connection = self.connect(call);
        if let Some(token) = &context.resume {
            let remote = self.endpoint.find(token)?;
            let answered = self.endpoint.wait(&remote, true).await;
            self.life.point().await;
            return answered;
        }
        let posted = self.endpoint.post(attempt);
        self.life.point().await;
        let answered = match posted {
            Posted::Refused(error) => Err(error),
            Posted::Held(remote) => self.endpoint.wait(&remote, false).await,
            Posted::ByUrl(remote, window, token) => {
                tokio::time::sleep(window).await;
                self.life.point().await;
                context.checkpoint.save(token).await.map_err(|failed| unsaved(&failed))?;
                open(&self.endpoint.ledger).waits_remotely(key);
                self.endpoint.wait(&remote, true).await
            }
        };
        self.life.point().await;
        answered
    }

    /// The call, with the lease that the watched store wrote into its trace id.
    fn call(&self, context: &CallContext) -> Call {
        let execution = context.attempt.execution;
        let token = context.trace_id.parse().expect("the watched store wrote the token there");
        Call {
            who: self.who,
            life: Arc::clone(&self.life),
            endpoint: self.endpoint.plan.info.id.clone(),
            limit: self.endpoint.plan.info.limit,
            key: LeaseKey { execution, token },
            attempt: context.attempt,
            resumes: context.resume.is_some(),
        }
    }
}

#[async_trait]
impl Backend for WorkerBackend {
    async fn call(&self, _: &CallRequest, context: &CallContext) -> Result<Answer, CallError> {
        let call = self.call(context);
        open(&self.endpoint.ledger).dispatched(&call, self.clock.now());
        tokio::select! {
            biased;
            () = context.stop.cancelled() => Err(error(ErrorCode::Cancelled, Stage::Request)),
            answered = self.follow(call, context) => answered,
            () = self.clock.sleep_until(context.deadline) => {
                Err(error(ErrorCode::AttemptTimeout, Stage::Request))
            }
        }
    }

    fn describe(&self) -> &EndpointInfo {
        &self.endpoint.plan.info
    }

    async fn probe(&self, _: Monotonic) -> ProbeReport {
        ProbeReport { findings: Vec::new() }
    }
}

fn unsaved(failed: &CheckpointError) -> CallError {
    let code = match failed {
        CheckpointError::Lost => ErrorCode::Cancelled,
        CheckpointError::Store(_) => ErrorCode::Internal,
    };
    error(code, Stage::ResultUrl)
}
