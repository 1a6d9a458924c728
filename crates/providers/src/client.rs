//! The HTTP client of one endpoint: bounded in time and size, never redirected by itself (C7).

use std::{error::Error as StdError, sync::Arc, time::Duration};

use beacon_domain::{CallError, Clock, ErrorCode, Monotonic, Stage};
use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, Error},
    rt::{TokioExecutor, TokioTimer},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{ConfigError, EndpointConfig},
    connector::{Connector, causes, explain as explain_connect},
};

/// Below the 5 s after which uvicorn, and with it vLLM, closes an idle connection
/// (<https://www.uvicorn.org/settings/#timeouts>): a request must not meet a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// A client with its own connection pool.
pub(crate) struct HttpClient {
    inner: Client<Connector, Full<Bytes>>,
    connector: Connector,
    clock: Arc<dyn Clock>,
    max_body: usize,
}

/// What ends a call early.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    /// On the injected clock.
    pub(crate) deadline: Monotonic,
    pub(crate) stop: &'a CancellationToken,
}

impl HttpClient {
    pub(crate) fn new(config: &EndpointConfig, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let connector = Connector::new(config, Arc::clone(&clock))?;
        let inner = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(config.limit as usize)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .http2_only(config.http2_prior_knowledge)
            // Only of requests of which no byte was sent, so never a second POST (C3).
            .retry_canceled_requests(true)
            .build(connector.clone());
        Ok(Self { inner, connector, clock, max_body: config.max_answer_bytes })
    }

    /// Sends a request and waits for the answer's head. A request that meets the end of its connection in the same moment
    /// may be forgotten by the library, unsent; then the deadline ends the wait.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        stage: Stage,
        limits: Limits<'_>,
    ) -> Result<Response<Incoming>, CallError> {
        let sent = async { self.inner.request(request).await.map_err(|error| explain(&error, stage)) };
        self.within(sent, stage, limits).await
    }

    /// Reads a whole body, up to the bound.
    pub(crate) async fn read(&self, body: Incoming, limits: Limits<'_>) -> Result<Bytes, CallError> {
        self.within(self.collect(body), Stage::Body, limits).await
    }

    /// Reads the beginning of a body, as far as it comes.
    pub(crate) async fn read_beginning(
        &self,
        body: Incoming,
        bytes: usize,
        limits: Limits<'_>,
    ) -> Result<Bytes, CallError> {
        self.within(beginning(body, bytes), Stage::Body, limits).await
    }

    /// Connects and hangs up, without a request.
    pub(crate) async fn connect(&self, url: &Uri, limits: Limits<'_>) -> Result<(), CallError> {
        self.within(self.connector.try_out(url), Stage::Connect, limits).await
    }

    /// Waits on the injected clock.
    pub(crate) async fn pause(&self, pause: Duration, limits: Limits<'_>) -> Result<(), CallError> {
        let until = self.clock.monotonic() + pause;
        let slept = async {
            self.clock.sleep_until(until).await;
            Ok(())
        };
        self.within(slept, Stage::ResultUrl, limits).await
    }

    async fn collect(&self, mut body: Incoming) -> Result<Bytes, CallError> {
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| {
                CallError::new(ErrorCode::ConnectionLost, Stage::Body, "the answer broke off before its end")
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > self.max_body {
                let message = format!(
                    "the answer is longer than {} bytes; raise max_answer_bytes if it is right",
                    self.max_body
                );
                return Err(CallError::new(ErrorCode::AnswerTooLarge, Stage::Body, message));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, CallError>>,
        stage: Stage,
        limits: Limits<'_>,
    ) -> Result<T, CallError> {
        tokio::select! {
            biased;
            () = limits.stop.cancelled() => Err(CallError::new(ErrorCode::Cancelled, stage, "the call was stopped")),
            () = self.clock.sleep_until(limits.deadline) => {
                Err(CallError::new(ErrorCode::AttemptTimeout, stage, "the attempt's time limit passed"))
            }
            done = work => done,
        }
    }
}

async fn beginning(mut body: Incoming, most: usize) -> Result<Bytes, CallError> {
    let mut bytes = BytesMut::new();
    while bytes.len() < most
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    bytes.truncate(most);
    Ok(bytes.freeze())
}

/// Turns a transport error into a code. Whatever happened after the connection stood may have begun work (C3).
fn explain(error: &Error, stage: Stage) -> CallError {
    if error.is_connect() {
        return explain_connect(error);
    }
    let error: &(dyn StdError + 'static) = error;
    let mut hyper = causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>());
    if hyper.any(hyper::Error::is_parse) {
        return CallError::new(
            ErrorCode::MalformedAnswer,
            stage,
            "the answer's head is not HTTP, or too long; check host and port",
        );
    }
    let h2 = causes(error).find_map(|cause| cause.downcast_ref::<h2::Error>());
    let mut error =
        CallError::new(ErrorCode::ConnectionLost, stage, "the connection broke before an answer came");
    // RFC 9113 section 8.7: a refused stream was not processed.
    error.surely_not_started = h2.and_then(h2::Error::reason) == Some(h2::Reason::REFUSED_STREAM);
    error
}
