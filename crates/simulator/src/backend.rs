//! A simulated endpoint as a [`Backend`], without sockets: for runs on virtual time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    Answer, Backend, CallContext, CallError, CallRequest, CheckpointError, EndpointInfo, ErrorCode,
    Monotonic, ProbeFinding, ProbeReport, ResumeToken, Stage, Timing, Usage,
};

use crate::{
    config::{Behaviour, SimEndpoint, Warm},
    model::{Admission, Ask, Endpoint, Finished, Waited, Work, seconds},
};

/// One endpoint of a [`Simulator`](crate::Simulator).
#[derive(Debug)]
pub struct SimBackend {
    endpoint: Arc<Endpoint>,
    info: EndpointInfo,
}

impl SimBackend {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        let info = describe(&endpoint.config);
        Self { endpoint, info }
    }

    /// The same endpoint under other limits or prices.
    #[must_use]
    pub fn with_info(self, info: EndpointInfo) -> Self {
        Self { info, ..self }
    }

    async fn follow(&self, request: &CallRequest, context: &CallContext) -> Result<Answer, CallError> {
        let (work, resumed) = match &context.resume {
            Some(token) => (self.resume(token)?, true),
            None => (self.post(request, context)?, false),
        };
        let clock = &self.endpoint.around.clock;
        let mut redirects = 0;
        let mut early = !resumed && work.behaviour == Behaviour::Pending;
        loop {
            let window = if early { Duration::ZERO } else { self.endpoint.window() };
            early = false;
            match self.endpoint.wait(&work, clock.monotonic() + window).await {
                Waited::Finished(done) => return answer(&done, redirects),
                Waited::Gone => return Err(lost("the simulator was shut down")),
                Waited::Pending => {}
            }
            self.endpoint.meter.record(|stats| stats.redirects += 1);
            if redirects == 0 && !resumed {
                let id = self.endpoint.calls.publish(&work);
                context.checkpoint.save(ResumeToken(id)).await.map_err(|error| unsaved(&error))?;
            }
            redirects += 1;
            self.endpoint.meter.record(|stats| stats.result_url_reads += 1);
        }
    }

    fn post(&self, request: &CallRequest, context: &CallContext) -> Result<Work, CallError> {
        if request.prompt.is_empty() {
            self.endpoint.refuse();
            return Err(CallError::new(ErrorCode::RejectedInput, Stage::Request, "Prompt is required"));
        }
        if request.model != self.endpoint.config.model {
            self.endpoint.refuse();
            let message = format!("Unknown model: {}", request.model);
            return Err(CallError::new(ErrorCode::UnknownModel, Stage::Request, message));
        }
        let ask = Ask {
            prompt: Arc::clone(&request.prompt),
            temperature: request.sampling.temperature,
            max_tokens: request.sampling.max_tokens,
        };
        let refusal = |code, status, retry_after| CallError {
            http_status: Some(status),
            retry_after,
            surely_not_started: true,
            ..CallError::new(code, Stage::Request, "the simulated endpoint has no room")
        };
        match self.endpoint.call(ask, Some(&context.attempt.to_string())) {
            Admission::Taken(work) => Ok(work),
            Admission::Throttled(after) => Err(refusal(ErrorCode::Throttled, 429, Some(after))),
            Admission::Unavailable => Err(refusal(ErrorCode::Overloaded, 503, None)),
        }
    }

    fn resume(&self, token: &ResumeToken) -> Result<Work, CallError> {
        self.endpoint.meter.record(|stats| stats.result_url_reads += 1);
        self.endpoint.calls.find(&token.0).ok_or_else(|| CallError {
            http_status: Some(404),
            ..CallError::new(ErrorCode::ResultExpired, Stage::ResultUrl, "modal-http: invalid function call")
        })
    }
}

#[async_trait]
impl Backend for SimBackend {
    async fn call(&self, request: &CallRequest, context: &CallContext) -> Result<Answer, CallError> {
        let deadline = self.endpoint.around.clock.sleep_until(context.deadline);
        let stage = if context.resume.is_some() { Stage::ResultUrl } else { Stage::Request };
        tokio::select! {
            biased;
            () = context.stop.cancelled() => Err(CallError::new(ErrorCode::Cancelled, stage, "the call was stopped")),
            ended = self.follow(request, context) => ended,
            () = deadline => {
                Err(CallError::new(ErrorCode::AttemptTimeout, stage, "the attempt's time limit passed"))
            }
        }
    }

    fn describe(&self) -> &EndpointInfo {
        &self.info
    }

    async fn probe(&self, _deadline: Monotonic) -> ProbeReport {
        let finding = |purpose: &str| ProbeFinding {
            purpose: purpose.to_owned(),
            url: format!("simulated:{}", self.info.id),
            ok: true,
            detail: "simulated; always healthy".to_owned(),
        };
        ProbeReport { findings: vec![finding("health"), finding("models")] }
    }
}

fn describe(config: &SimEndpoint) -> EndpointInfo {
    let warm = match config.warm {
        Warm::FixedS(mean_s) | Warm::Normal { mean_s, .. } | Warm::Exponential { mean_s } => seconds(mean_s),
    };
    EndpointInfo {
        id: config.id.clone(),
        model: config.model.clone(),
        region: config.region,
        limit: config.capacity,
        account: None,
        cold_probe: false,
        adaptive: None,
        price_micros_per_s: 0,
        timing: Some(Timing { cold: seconds(config.cold_s), warm }),
    }
}

fn answer(done: &Finished, redirects: u32) -> Result<Answer, CallError> {
    let stage = if redirects == 0 { Stage::Request } else { Stage::ResultUrl };
    let fail = |code, stage, status, message: &str| CallError {
        http_status: status,
        ..CallError::new(code, stage, message)
    };
    match done.behaviour {
        Behaviour::ServerError => Err(fail(ErrorCode::EndpointFailed, stage, Some(500), "simulated failure")),
        Behaviour::Html => {
            Err(fail(ErrorCode::MalformedAnswer, Stage::Body, Some(200), "the body is HTML, not JSON"))
        }
        Behaviour::Reset => Err(lost("the connection closed before an answer")),
        Behaviour::ErrorIn200 => {
            Err(fail(ErrorCode::EndpointFailed, Stage::Body, Some(200), "simulated generation failure"))
        }
        _ => Ok(Answer {
            text: done.text.clone(),
            model_observed: Some(done.model.clone()),
            region_observed: Some(done.region),
            usage: Usage {
                completion_tokens: Some(done.tokens),
                provider_time: Some(done.busy),
                ..Usage::default()
            },
            finish_reason: None,
            system_fingerprint: None,
            provider_call_id: (redirects > 0).then(|| format!("fc-{}", done.number)),
            provider_started_at: None,
            redirects,
        }),
    }
}

fn lost(message: &str) -> CallError {
    CallError::new(ErrorCode::ConnectionLost, Stage::Request, message)
}

fn unsaved(error: &CheckpointError) -> CallError {
    let code = match error {
        CheckpointError::Lost => ErrorCode::Cancelled,
        CheckpointError::Store(_) => ErrorCode::Internal,
    };
    CallError::new(code, Stage::ResultUrl, error.to_string())
}
