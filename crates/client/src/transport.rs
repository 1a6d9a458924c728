//! One request and its answer: bounded in time and size, never redirected.

use std::{sync::Arc, time::Duration};

use beacon_domain::{Clock, Monotonic};
use beacon_spec::{RequestParts, Sha256Digest, SigningKey, random_nonce, sign_request};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::de::DeserializeOwned;

use crate::{
    ClientError, ClientOptions, Refusal, ServerUrl, Token, authority,
    connector::{causes, connector, explain},
};

/// The longest answer that is held whole: a matrix that is not streamed is far below.
const LONGEST_JSON: usize = 64 << 20;
/// The longest refusal that is read.
const LONGEST_REFUSAL: usize = 64 << 10;
/// A whole answer that drips takes no longer than so many times the wait for its beginning.
const WHOLE: u32 = 4;
const AGENT: &str = concat!("beacon/", env!("CARGO_PKG_VERSION"));

/// Sends requests to one server.
pub(crate) struct Transport {
    inner: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: ServerUrl,
    token: Option<Token>,
    key: Option<SigningKey>,
    pub(crate) clock: Arc<dyn Clock>,
    limit: Duration,
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// With the query.
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// Whether it is for who may steer the job, and signed if the client has a key.
    pub(crate) steers: bool,
}

/// An answer that is no refusal: a success, or 304. Its body is still to be read.
pub(crate) struct Answer<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    transport: &'a Transport,
}

/// What is still to come of an answer.
pub(crate) struct Body {
    inner: Incoming,
    clock: Arc<dyn Clock>,
    server: ServerUrl,
}

impl<'a> Ask<'a> {
    pub(crate) const fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, headers: Vec::new(), body: Bytes::new(), steers: false }
    }

    pub(crate) const fn post(path: &'a str, body: Bytes) -> Self {
        Self { method: Method::POST, path, headers: Vec::new(), body, steers: false }
    }

    pub(crate) fn steering(path: &'a str, body: Bytes) -> Self {
        Self { steers: true, ..Self::post(path, body) }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Transport {
    pub(crate) fn new(options: ClientOptions, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let inner = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Only of requests of which no byte was sent.
            .retry_canceled_requests(true)
            .build(connector(options.ca_file.as_deref())?);
        let ClientOptions { server, token, key, answer_within: limit, .. } = options;
        Ok(Self { inner, server, token, key, clock, limit })
    }

    /// Sends a request and waits until its answer begins; a refusal is an error.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Answer<'_>, ClientError> {
        let request = self.request(ask)?;
        let until = self.clock.monotonic() + self.limit;
        let sent = async { self.inner.request(request).await.map_err(|error| self.explain(&error)) };
        let answered = tokio::select! {
            answered = sent => answered?,
            () = self.clock.sleep_until(until) => return Err(self.slow()),
        };
        let (head, inner) = answered.into_parts();
        let body = Body { inner, clock: Arc::clone(&self.clock), server: self.server.clone() };
        let answer = Answer { status: head.status, headers: head.headers, body, transport: self };
        if answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        Err(answer.refusal().await)
    }

    fn request(&self, ask: Ask<'_>) -> Result<Request<Full<Bytes>>, ClientError> {
        let uri = self.server.join(ask.path)?;
        let signature = match &self.key {
            Some(key) if ask.steers => self.signature(key, &ask, &uri)?,
            _ => HeaderMap::new(),
        };
        let mut request = Request::new(Full::new(ask.body));
        *request.method_mut() = ask.method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        headers.extend(ask.headers);
        headers.extend(signature);
        if let Some(token) = &self.token {
            headers.insert(header::AUTHORIZATION, token.header());
        }
        Ok(request)
    }

    /// The headers of a signed request.
    fn signature(&self, key: &SigningKey, ask: &Ask<'_>, uri: &Uri) -> Result<HeaderMap, ClientError> {
        let unfit = || ClientError::Options("the request cannot be signed for this URL".to_owned());
        let parts = RequestParts {
            method: ask.method.as_str(),
            authority: &authority(uri).ok_or_else(unfit)?,
            path: uri.path(),
            query: uri.query().unwrap_or_default(),
            body: Sha256Digest::of(&ask.body),
        };
        let signed = sign_request(key, &parts, self.clock.now(), &random_nonce()).map_err(|_| unfit())?;
        let of =
            |name, value: String| Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?));
        let headers = [
            of("content-digest", signed.content_digest),
            of("signature-input", signed.input),
            of("signature", signed.signature),
        ];
        headers.into_iter().collect::<Option<_>>().ok_or_else(unfit)
    }

    /// How long a part of an answer may take.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    pub(crate) fn stranger(&self, problem: impl Into<String>) -> ClientError {
        ClientError::Stranger { server: self.server.clone(), problem: problem.into() }
    }

    pub(crate) fn unwritable(&self, source: std::io::Error) -> ClientError {
        ClientError::Writer { server: self.server.clone(), source }
    }

    fn slow(&self) -> ClientError {
        ClientError::Slow { server: self.server.clone(), limit: self.limit }
    }

    fn explain(&self, error: &Error) -> ClientError {
        let server = self.server.clone();
        if error.is_connect() {
            return ClientError::Away { server, message: explain(error) };
        }
        let mut hyper = causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>());
        if hyper.any(hyper::Error::is_parse) {
            return self.stranger("the answer's head is not HTTP, or too long");
        }
        ClientError::Broken { server }
    }
}

impl Answer<'_> {
    /// The media type without its parameters, in lower case.
    pub(crate) fn media(&self) -> String {
        let label = self.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let label = String::from_utf8_lossy(label);
        label
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .chars()
            .take(60)
            .collect::<String>()
            .to_ascii_lowercase()
    }

    /// Whether the answer is of this type; anything else comes from somebody else.
    pub(crate) fn expect(&self, media: &str) -> Result<(), ClientError> {
        let found = self.media();
        if found == media {
            return Ok(());
        }
        Err(self.transport.stranger(format!("the answer is {found:?}, not {media}")))
    }

    /// The whole answer as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(mut self) -> Result<T, ClientError> {
        self.expect("application/json")?;
        let bytes = self.collect(LONGEST_JSON).await?;
        let strange = |error: serde_json::Error| {
            // Its text may repeat values; where and what kind it is says enough.
            let (line, column) = (error.line(), error.column());
            self.transport.stranger(format!(
                "the answer's JSON has not the shape that is expected (line {line}, column {column})"
            ))
        };
        serde_json::from_slice(&bytes).map_err(strange)
    }

    async fn collect(&mut self, most: usize) -> Result<Bytes, ClientError> {
        let until = self.transport.clock.monotonic() + self.transport.limit * WHOLE;
        let mut bytes = BytesMut::new();
        while let Some(piece) = self.body.piece(until).await? {
            if bytes.len() + piece.len() > most {
                return Err(self.transport.stranger(format!("the answer is longer than {most} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    async fn refusal(mut self) -> ClientError {
        if self.status.is_redirection() {
            return self.transport.stranger("it redirects, and a redirect is not followed");
        }
        let seconds =
            self.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = match self.collect(LONGEST_REFUSAL).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        match Refusal::parse(self.status, &body, self.transport.token.as_ref()) {
            Some(refusal) => {
                Box::new(Refusal { retry_after: seconds.map(Duration::from_secs), ..refusal }).into()
            }
            // A gateway whose server is away says so in its own words.
            None if matches!(self.status.as_u16(), 502..=504) => ClientError::Away {
                server: self.transport.server.clone(),
                message: format!("what stands before it says {}; start beacon-api behind it", self.status),
            },
            None => self.transport.stranger(format!("it says {} without Beacon's envelope", self.status)),
        }
    }
}

impl Body {
    /// The next piece, if it comes by then; nothing at the end.
    pub(crate) async fn piece(&mut self, until: Monotonic) -> Result<Option<Bytes>, ClientError> {
        let begun = self.clock.monotonic();
        loop {
            let frame = tokio::select! {
                frame = self.inner.frame() => frame,
                () = self.clock.sleep_until(until) => {
                    return Err(ClientError::Slow { server: self.server.clone(), limit: until.since(begun) });
                }
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
                Some(Err(_)) => return Err(ClientError::Broken { server: self.server.clone() }),
            }
        }
    }
}
