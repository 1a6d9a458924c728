//! One endpoint over HTTP: its configuration, credentials and client, and the requests that it gets.

use std::sync::Arc;

use beacon_domain::{CallError, Clock, EndpointInfo, ErrorCode, Stage};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;

use crate::{
    client::HttpClient,
    config::{ConfigError, EndpointConfig},
    credentials::Credentials,
};

const USER_AGENT: &str = concat!("beacon/", env!("CARGO_PKG_VERSION"));

/// An endpoint with all that a call needs.
pub(crate) struct HttpEndpoint {
    pub(crate) info: EndpointInfo,
    pub(crate) config: EndpointConfig,
    pub(crate) client: HttpClient,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) credentials: Credentials,
    /// The inference URL.
    pub(crate) url: Uri,
}

impl HttpEndpoint {
    pub(crate) fn new(
        config: &EndpointConfig,
        env: &dyn Fn(&str) -> Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let url = config.inference_url.parse().map_err(|_| {
            ConfigError::new(&config.id(), "inference_url", "is not a URL; give the full URL")
        })?;
        Ok(Self {
            info: config.info(),
            config: config.clone(),
            client: HttpClient::new(config, Arc::clone(&clock))?,
            clock,
            credentials: Credentials::load(config, env)?,
            url,
        })
    }

    /// A request with credentials. `url` must be a configured URL or a result URL, never one that somebody else chose.
    pub(crate) fn request(
        &self,
        method: Method,
        url: &Uri,
        body: Bytes,
        trace: &str,
    ) -> Result<Request<Full<Bytes>>, CallError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        // Without this a server may compress as it likes (RFC 9110 section 12.5.3).
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert("x-trace-id", header_value(trace)?);
        self.credentials.apply(headers);
        Ok(request)
    }
}

/// An id as a header's value.
pub(crate) fn header_value(text: &str) -> Result<HeaderValue, CallError> {
    HeaderValue::from_str(text)
        .map_err(|_| CallError::new(ErrorCode::Internal, Stage::Request, "an id cannot stand in a header"))
}
