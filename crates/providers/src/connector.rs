//! Connections: name, TCP and TLS, within a time limit, and what their failures mean.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use beacon_domain::{CallError, Clock, ErrorCode, Stage};
use http::Uri;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::config::{ConfigError, EndpointConfig, HttpVersion};

/// For TCP alone, shared between the addresses of a name.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// For name, TCP and TLS together. A handshake that hangs must not use up the attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// A peer that vanished without a word is noticed within about a minute, also while an answer is awaited for long.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;
/// A server should allow this many streams on a connection at least (RFC 9113 section 6.5.2).
const SURE_STREAMS: u32 = 100;

type BoxError = Box<dyn StdError + Send + Sync>;
type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections for one endpoint.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, thiserror::Error)]
#[error("no connection within {CONNECT_TIMEOUT:?}")]
struct TooSlow;

impl Connector {
    pub(crate) fn new(config: &EndpointConfig, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(TCP_TIMEOUT));
        http.set_keepalive(Some(KEEPALIVE));
        http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        http.set_keepalive_retries(Some(KEEPALIVE_PROBES));
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls(config)?).https_or_http();
        let inner = match config.http_version {
            HttpVersion::Http1 => builder.enable_http1().wrap_connector(http),
            HttpVersion::Auto if config.http2_prior_knowledge => builder.enable_http2().wrap_connector(http),
            // Beyond it calls would wait in the connection, unseen, while their time runs.
            HttpVersion::Auto if config.limit > SURE_STREAMS => builder.enable_http1().wrap_connector(http),
            HttpVersion::Auto => builder.enable_all_versions().wrap_connector(http),
        };
        Ok(Self { inner, clock })
    }

    /// Connects, says nothing, and hangs up.
    pub(crate) async fn try_out(&self, url: &Uri) -> Result<(), CallError> {
        let mut connector = self.clone();
        // An `HttpConnector` is always ready.
        connector.call(url.clone()).await.map(drop).map_err(|error| explain(&*error))
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.inner.call(url);
        let limit = self.clock.sleep_until(self.clock.monotonic() + CONNECT_TIMEOUT);
        Box::pin(async move {
            tokio::select! {
                biased;
                connected = connecting => connected,
                () = limit => Err(TooSlow.into()),
            }
        })
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

/// Why there is no connection. Without one, no work can have begun (C3).
pub(crate) fn explain(error: &(dyn StdError + 'static)) -> CallError {
    let (code, message) = causes(error).find_map(meaning).unwrap_or_else(|| {
        (ErrorCode::ConnectRefused, "the endpoint cannot be connected; check host and port".to_owned())
    });
    let mut error = CallError::new(code, Stage::Connect, message);
    error.surely_not_started = true;
    error
}

/// An error and what caused it, from the outside in.
pub(crate) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        // An `io::Error` gives the source of what it wraps, not what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| (**error).source())
    })
}

fn meaning(cause: &(dyn StdError + 'static)) -> Option<(ErrorCode, String)> {
    if cause.is::<TooSlow>() {
        let message = format!("{TooSlow}; check host and port, and what stands between");
        return Some((ErrorCode::ConnectRefused, message));
    }
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        let message = format!(
            "TLS could not be agreed: {tls}; check the host name, and ca_file for a private authority"
        );
        return Some((ErrorCode::TlsFailed, message));
    }
    // The name of hyper-util's error for this; it has no type of its own.
    if cause.to_string().starts_with("dns error") {
        let message = "the host's name does not resolve; check the URL";
        return Some((ErrorCode::DnsFailed, message.to_owned()));
    }
    let io = cause.downcast_ref::<io::Error>().filter(|io| io.get_ref().is_none())?;
    // EMFILE and ENFILE of every Unix.
    let message = match io.raw_os_error() {
        Some(23 | 24) => {
            "too many open files in this process; raise `ulimit -n` or lower the limits".to_owned()
        }
        _ if io.kind() == io::ErrorKind::ConnectionRefused => {
            "nothing listens there (connection refused); start the endpoint or correct the URL".to_owned()
        }
        _ => format!("the endpoint cannot be connected: {io}"),
    };
    Some((ErrorCode::ConnectRefused, message))
}
