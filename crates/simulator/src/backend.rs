//! A simulated endpoint as a [`Backend`], without sockets: for runs on virtual time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    Answer, Backend, CallContext, CallError, CallRequest, CheckpointError, EndpointInfo, ErrorCode,
    Monotonic, ProbeFinding, ProbeReport, ResumeToken, Stage, Timing, Usage,
};

use crate::{
    behaviour::Behaviour,
    config::{SimEndpoint, Warm},
    endpoint::{Endpoint, seconds},
    work::{Admission, Ask, Finished, Waited, Work},
};

/// The pause of a client that a result URL sends on at once.
const FAST_REDIRECT_PAUSE: Duration = Duration::from_secs(1);

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

    /// Waits for the result as the HTTP client does: one POST, then result URLs (C1, C2).
    async fn follow(&self, request: &CallRequest, context: &CallContext) -> Result<Answer, CallError> {
        let (work, mut on_result_url) = match &context.resume {
            Some(token) => (self.read(&token.0)?, true),
            None => (self.post(request, context)?, false),
        };
        let mut redirects = 0;
        loop {
            match self.wait(&work, on_result_url).await {
                Waited::Finished(done) => match answer(&done, request, redirects, on_result_url).await {
                    // A result URL can be read again after the connection broke.
                    Err(error) if on_result_url && error.code == ErrorCode::ConnectionLost => {}
                    ended => return ended,
                },
                Waited::Gone => return Err(lost("the simulator was shut down")),
                Waited::Pending => {
                    let id = self.endpoint.publish(&work);
                    if !on_result_url {
                        context.checkpoint.save(ResumeToken(id)).await.map_err(|error| unsaved(&error))?;
                        on_result_url = true;
                    }
                    redirects += 1;
                }
            }
            self.read(&format!("fc-{}", work.number))?;
        }
    }

    async fn wait(&self, work: &Work, on_result_url: bool) -> Waited {
        let clock = &self.endpoint.around.clock;
        if !on_result_url && work.behaviour.defers() {
            return Waited::Pending;
        }
        if work.behaviour == Behaviour::RedirectLoop {
            clock.sleep_until(clock.monotonic() + FAST_REDIRECT_PAUSE).await;
            return Waited::Pending;
        }
        self.endpoint.wait(work, clock.monotonic() + self.endpoint.window()).await
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
        match self.endpoint.call(ask, Some(&context.attempt.to_string())) {
            Admission::Taken(work) => Ok(work),
            Admission::Throttled(after) => {
                let after = Duration::from_secs_f64(after.as_secs_f64().ceil());
                Err(CallError { retry_after: Some(after), ..said(Behaviour::Throttle, Stage::Request) })
            }
            Admission::Refused(behaviour) => Err(said(behaviour, Stage::Request)),
        }
    }

    /// One read of a result URL.
    fn read(&self, id: &str) -> Result<Work, CallError> {
        self.endpoint.find(id).ok_or_else(|| CallError {
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
        max_limit: config.capacity,
        linger: seconds(config.longest_s()),
        account: None,
        cold_probe: false,
        adaptive: None,
        price_micros_per_s: 0,
        timing: Some(Timing { cold: seconds(config.cold_s), warm }),
    }
}

/// What the HTTP client makes of a finished call.
async fn answer(
    done: &Finished,
    request: &CallRequest,
    redirects: u32,
    on_result_url: bool,
) -> Result<Answer, CallError> {
    let stage = if on_result_url { Stage::ResultUrl } else { Stage::Request };
    let behaviour = done.behave();
    let of_200 = |code, stage, message: &str| CallError {
        http_status: Some(200),
        ..CallError::new(code, stage, message)
    };
    Err(match behaviour {
        _ if behaviour.status().is_some() => match said(behaviour, stage) {
            // A read of a result URL that the gateway failed can be repeated, like one whose connection broke.
            error if on_result_url && error.code == ErrorCode::GatewayFailed => lost(&error.message),
            error => error,
        },
        Behaviour::Html => of_200(ErrorCode::MalformedAnswer, Stage::Body, "the body is HTML, not JSON"),
        Behaviour::Reset => lost("the connection was reset before an answer"),
        Behaviour::Truncated if on_result_url => lost("the answer broke off before its end"),
        Behaviour::Truncated => {
            of_200(ErrorCode::MalformedAnswer, Stage::Body, "the answer broke off before its end")
        }
        // The call's deadline ends these.
        Behaviour::Hang | Behaviour::Slow => std::future::pending().await,
        Behaviour::Endless => of_200(ErrorCode::AnswerTooLarge, Stage::Body, "the answer has no end"),
        Behaviour::RedirectElsewhere => CallError {
            http_status: Some(303),
            ..CallError::new(ErrorCode::BadRedirect, stage, "the redirect leads to another origin")
        },
        Behaviour::ErrorIn200 => {
            of_200(ErrorCode::EndpointFailed, Stage::Body, "simulated generation failure")
        }
        _ if done.region != request.region => {
            let message = format!("asked {}, the answer is from {}", request.region, done.region);
            of_200(ErrorCode::RegionMismatch, Stage::Check, &message)
        }
        _ if done.model != request.model => {
            let message = format!("asked {}, the answer is from {}", request.model, done.model);
            of_200(ErrorCode::ModelMismatch, Stage::Check, &message)
        }
        _ => return Ok(told(done, redirects, on_result_url)),
    })
}

fn told(done: &Finished, redirects: u32, on_result_url: bool) -> Answer {
    Answer {
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
        provider_call_id: on_result_url.then(|| format!("fc-{}", done.number)),
        provider_started_at: Some(done.started_at),
        redirects,
    }
}

/// A status in the place of an answer, as the client of Modal web functions reads it.
fn said(behaviour: Behaviour, stage: Stage) -> CallError {
    let (status, text) = behaviour.status().expect("the caller asks only for behaviours that are a status");
    let code = match behaviour {
        Behaviour::Unauthorized => ErrorCode::Unauthorized,
        Behaviour::Stopped => ErrorCode::EndpointStopped,
        Behaviour::Throttle => ErrorCode::Throttled,
        Behaviour::SpendLimit => ErrorCode::SpendLimit,
        Behaviour::Unavailable => ErrorCode::Overloaded,
        Behaviour::TimedOut => ErrorCode::ProviderTimeout,
        Behaviour::Killed => ErrorCode::Preempted,
        Behaviour::GatewayFailed => ErrorCode::GatewayFailed,
        _ => ErrorCode::EndpointFailed,
    };
    CallError {
        http_status: Some(status),
        surely_not_started: behaviour.refuses(),
        ..CallError::new(code, stage, text)
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
