//! The HTTP client of one endpoint: bounded in time and size, never redirected by itself (C7).

use std::{error::Error as StdError, io, sync::Arc, time::Duration};

use beacon_domain::{CallError, Clock, ErrorCode, Monotonic, Stage};
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, EndpointConfig, HttpVersion};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// A client with its own connection pool.
pub(crate) struct HttpClient {
    inner: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    clock: Arc<dyn Clock>,
    max_body: usize,
}

/// What ends a call early.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub(crate) deadline: Monotonic,
    pub(crate) stop: &'a CancellationToken,
}

impl HttpClient {
    pub(crate) fn new(config: &EndpointConfig, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls(config)?).https_or_http();
        let connector = if config.http_version == HttpVersion::Http1 {
            builder.enable_http1().wrap_connector(http)
        } else {
            builder.enable_all_versions().wrap_connector(http)
        };
        let inner = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(config.limit as usize)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .http2_only(config.http2_prior_knowledge)
            .build(connector);
        Ok(Self { inner, clock, max_body: config.max_answer_bytes })
    }

    /// Sends a request and waits for the answer's head.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        stage: Stage,
        limits: Limits<'_>,
    ) -> Result<Response<Incoming>, CallError> {
        let sent = async { self.inner.request(request).await.map_err(|error| explain(&error, stage)) };
        self.within(sent, stage, limits).await
    }

    /// Reads a body up to the bound.
    pub(crate) async fn read(&self, body: Incoming, limits: Limits<'_>) -> Result<Bytes, CallError> {
        self.within(self.collect(body), Stage::Body, limits).await
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

fn tls(config: &EndpointConfig) -> Result<ClientConfig, ConfigError> {
    let fail = |problem: String| ConfigError::new(&config.id(), "ca_file", &problem);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(format!("TLS cannot be set up: {error}")))?;
    let Some(path) = &config.ca_file else {
        return Ok(builder.with_webpki_roots().with_no_client_auth());
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        fail(format!("{} cannot be used ({error}); give a readable PEM file", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
        roots.add(certificate.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        return Err(unreadable(&"it holds no certificate"));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Turns a transport error into a code. Everything before a connection stands surely began no work (C3).
fn explain(error: &Error, stage: Stage) -> CallError {
    if !error.is_connect() {
        return CallError::new(
            ErrorCode::ConnectionLost,
            stage,
            "the connection broke before an answer came",
        );
    }
    let (code, message) = connect_failure(error);
    let mut error = CallError::new(code, Stage::Connect, message);
    error.surely_not_started = true;
    error
}

fn connect_failure(error: &Error) -> (ErrorCode, String) {
    let mut source = error.source();
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls =
            inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).or_else(|| cause.downcast_ref());
        if let Some(tls) = tls {
            return (ErrorCode::TlsFailed, format!("TLS could not be agreed: {tls}; see ca_file"));
        }
        if cause.to_string().starts_with("dns error") {
            return (
                ErrorCode::DnsFailed,
                "the host's name does not resolve; check inference_url".to_owned(),
            );
        }
        source = cause.source();
    }
    (ErrorCode::ConnectRefused, "the endpoint cannot be connected".to_owned())
}
