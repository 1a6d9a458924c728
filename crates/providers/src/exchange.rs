//! One attempt on the wire: one POST, then result URLs until the answer (C1, C2, C3). Shared by all providers.

use std::time::Duration;

use beacon_domain::{CallContext, CallError, CheckpointError, ErrorClass, ErrorCode, Stage, TraceParent};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::{
    backend::Dialect,
    client::Limits,
    endpoint::{HttpEndpoint, header_value},
    json::malformed,
    pace::Pace,
    refusal::Refusal,
    result_url::ResultUrl,
    retry_after::retry_after,
};

/// The pace makes at least a second of each; the deadline comes first.
const MAX_READINGS: u32 = 10_000;
/// Modal answers 404 for a moment while an app is deployed anew, so it is believed the third time.
const MAX_GONE: u32 = 2;
const MAX_REFUSAL_BYTES: usize = 4096;

/// One attempt and what it may use.
pub(crate) struct Exchange<'a> {
    pub(crate) endpoint: &'a HttpEndpoint,
    pub(crate) dialect: &'a dyn Dialect,
    pub(crate) context: &'a CallContext,
}

/// The body of an answer.
pub(crate) struct Fetched {
    pub(crate) body: Bytes,
    pub(crate) redirects: u32,
    pub(crate) call_id: Option<String>,
}

/// What came of one request.
enum Hop {
    Answer(Bytes),
    /// The call still runs; its answer will be there.
    Pending(ResultUrl),
}

impl Exchange<'_> {
    /// POSTs the body, or re-attaches, and brings the answer.
    pub(crate) async fn fetch(&self, body: Bytes) -> Result<Fetched, CallError> {
        if let Some(token) = &self.context.resume {
            let url = ResultUrl::from_token(token, &self.endpoint.url).ok_or_else(|| {
                let message =
                    "the stored result URL does not belong to this endpoint; was inference_url changed?";
                CallError::new(ErrorCode::ResultExpired, Stage::ResultUrl, message)
            })?;
            return self.follow(url).await;
        }
        match self.post(body).await? {
            Hop::Answer(body) => Ok(Fetched { body, redirects: 0, call_id: None }),
            Hop::Pending(url) => {
                self.save(&url).await?;
                self.follow(url).await
            }
        }
    }

    /// The only POST of the attempt.
    async fn post(&self, body: Bytes) -> Result<Hop, CallError> {
        let url = &self.endpoint.url;
        let mut request = self.request(Method::POST, url, body)?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("idempotency-key", header_value(&self.context.attempt.to_string())?);
        let response = self.endpoint.client.send(request, Stage::Request, self.limits()).await?;
        self.hop(response, url, Stage::Request).await.map_err(|mut error| {
            // There is no second chance to read it, as there is on a result URL.
            if error.code == ErrorCode::ConnectionLost && error.stage == Stage::Body {
                error.code = ErrorCode::MalformedAnswer;
            }
            error
        })
    }

    /// Reads result URLs until the answer. What a reload can cure is waited for, and never a reason for a new POST.
    async fn follow(&self, mut url: ResultUrl) -> Result<Fetched, CallError> {
        let mut pace = Pace::new(&self.context.attempt);
        let mut trouble: Option<CallError> = None;
        let mut gone = 0;
        for redirects in 1..=MAX_READINGS {
            let begun = self.endpoint.clock.monotonic();
            let mut asked = None;
            match self.get(&url).await {
                Ok(Hop::Answer(body)) => {
                    return Ok(Fetched { body, redirects, call_id: url.call_id() });
                }
                Ok(Hop::Pending(next)) => {
                    trouble = None;
                    if next != url {
                        self.save(&next).await?;
                        url = next;
                    }
                }
                Err(error) if is_reloadable(&error) || (may_reappear(&error) && gone < MAX_GONE) => {
                    gone += u32::from(may_reappear(&error));
                    asked = error.retry_after;
                    trouble = Some(error);
                }
                Err(error) => return Err(with_trouble(error, trouble)),
            }
            let pause = pace.after(self.endpoint.clock.monotonic().since(begun), asked);
            self.pause(pause).await.map_err(|error| with_trouble(error, trouble.clone()))?;
        }
        let message = "the result URL never brought an answer";
        Err(CallError::new(ErrorCode::TooManyRedirects, Stage::ResultUrl, message))
    }

    async fn get(&self, url: &ResultUrl) -> Result<Hop, CallError> {
        let request = self.request(Method::GET, url.uri(), Bytes::new())?;
        let response = self.endpoint.client.send(request, Stage::ResultUrl, self.limits()).await?;
        self.hop(response, url.uri(), Stage::ResultUrl).await
    }

    /// A request of this attempt, with the trace that it belongs to (O4).
    fn request(&self, method: Method, url: &Uri, body: Bytes) -> Result<Request<Full<Bytes>>, CallError> {
        let CallContext { attempt, span, trace_id, .. } = self.context;
        let mut request = self.endpoint.request(method, url, body, trace_id)?;
        let parent = TraceParent::new(attempt.execution.job, *span);
        request.headers_mut().insert("traceparent", header_value(&parent.to_string())?);
        Ok(request)
    }

    async fn hop(&self, response: Response<Incoming>, asked: &Uri, stage: Stage) -> Result<Hop, CallError> {
        let (head, body) = response.into_parts();
        let with_status = |mut error: CallError| {
            error.http_status = Some(head.status.as_u16());
            error
        };
        let client = &self.endpoint.client;
        if head.status.is_redirection() {
            let next = ResultUrl::from_redirect(&self.endpoint.url, asked, head.status, &head.headers);
            return next
                .map(Hop::Pending)
                .map_err(|problem| with_status(CallError::new(ErrorCode::BadRedirect, stage, problem)));
        }
        if head.status.is_success() {
            expect_json(&head.headers).map_err(with_status)?;
            return client.read(body, self.limits()).await.map(Hop::Answer).map_err(with_status);
        }
        let body =
            client.read_beginning(body, MAX_REFUSAL_BYTES, self.limits()).await.map_err(with_status)?;
        Err(self.dialect.classify(&Refusal {
            status: head.status.as_u16(),
            body: &String::from_utf8_lossy(&body),
            retry_after: retry_after(&head.headers, self.endpoint.clock.now()),
            on_result_url: stage == Stage::ResultUrl,
            provider_queues: self.endpoint.config.provider_queues,
        }))
    }

    /// Durable before anyone waits on it (C2), also when the call is being stopped just now.
    async fn save(&self, url: &ResultUrl) -> Result<(), CallError> {
        let fail = |code, message: &str| CallError::new(code, Stage::ResultUrl, message);
        self.context.checkpoint.save(url.token()).await.map_err(|error| match error {
            CheckpointError::Lost => fail(ErrorCode::Cancelled, "the lease was lost"),
            CheckpointError::Store(_) => fail(ErrorCode::Internal, "the result URL could not be stored"),
        })
    }

    async fn pause(&self, pause: Duration) -> Result<(), CallError> {
        if pause.is_zero() { Ok(()) } else { self.endpoint.client.pause(pause, self.limits()).await }
    }

    fn limits(&self) -> Limits<'_> {
        Limits { deadline: self.context.deadline, stop: &self.context.stop }
    }
}

/// An answer that calls itself something else than JSON is not ours (C7). None of the known servers leaves it out or
/// mislabels it; without a label the body itself decides.
fn expect_json(headers: &HeaderMap) -> Result<(), CallError> {
    let Some(label) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let label = String::from_utf8_lossy(label.as_bytes());
    let media = label.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media == "application/json" || media.ends_with("+json") {
        return Ok(());
    }
    let media: String = media.chars().take(60).collect();
    Err(malformed(&format!("the answer is {media:?}, not application/json; check inference_url")))
}

/// Whether reading the result URL again may bring the answer.
fn is_reloadable(error: &CallError) -> bool {
    let connection = matches!(
        error.code,
        ErrorCode::ConnectionLost | ErrorCode::ConnectRefused | ErrorCode::DnsFailed | ErrorCode::TlsFailed
    );
    let passing = matches!(error.http_status, Some(408 | 429 | 502 | 503 | 504))
        && matches!(
            error.class(),
            ErrorClass::Throttled | ErrorClass::Overloaded | ErrorClass::Unavailable | ErrorClass::Internal
        );
    connection || passing
}

fn may_reappear(error: &CallError) -> bool {
    error.code == ErrorCode::ResultExpired && error.http_status == Some(404)
}

/// A time limit that passes while a result URL cannot be read says what the last reading met.
fn with_trouble(mut error: CallError, trouble: Option<CallError>) -> CallError {
    if let (ErrorCode::AttemptTimeout, Some(trouble)) = (error.code, trouble) {
        let message = format!("{}; the result URL last gave {}", error.message, trouble);
        error.message = CallError::new(error.code, error.stage, message).message;
    }
    error
}
