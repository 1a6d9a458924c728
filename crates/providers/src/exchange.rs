//! One attempt on the wire: one POST, then result URLs until the answer (C1, C2, C3). Shared by all providers.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use beacon_domain::{
    CallContext, CallError, CheckpointError, Clock, EndpointInfo, ErrorClass, ErrorCode, ResumeToken, Stage,
};
use beacon_spec::Timestamp;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use crate::{
    client::{HttpClient, Limits},
    config::{AuthConfig, ConfigError, EndpointConfig},
    location::{CALL_ID, resolve, same_origin},
};

const MAX_HOPS: u32 = 10_000;
const FAST: Duration = Duration::from_secs(1);
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// An endpoint with all that a call needs.
pub(crate) struct HttpEndpoint {
    pub(crate) info: EndpointInfo,
    pub(crate) config: EndpointConfig,
    pub(crate) client: HttpClient,
    pub(crate) clock: Arc<dyn Clock>,
    url: Uri,
    auth: Vec<(HeaderName, HeaderValue)>,
}

/// The body of a 2xx answer.
pub(crate) struct Fetched {
    pub(crate) body: Bytes,
    pub(crate) redirects: u32,
    pub(crate) call_id: Option<String>,
}

/// A status that is neither an answer nor a redirect.
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a str,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) on_result_url: bool,
    pub(crate) provider_queues: bool,
}

/// A provider's reading of refusals.
pub(crate) type Classify = fn(&Refusal<'_>) -> CallError;

#[derive(Serialize, Deserialize)]
struct Token {
    url: String,
}

enum Hop {
    Answer(Bytes),
    Pending(Option<Uri>, Duration),
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
        let client = HttpClient::new(config, clock.clone())?;
        Ok(Self {
            info: config.info(),
            config: config.clone(),
            client,
            clock,
            url,
            auth: credentials(config, env)?,
        })
    }

    /// The model's name as the server knows it.
    pub(crate) fn upstream_model(&self) -> &str {
        self.config.upstream_model.as_deref().unwrap_or(self.config.model.as_str())
    }

    /// POSTs the body, or re-attaches, and brings the answer.
    pub(crate) async fn fetch(
        &self,
        body: Bytes,
        context: &CallContext,
        classify: Classify,
    ) -> Result<Fetched, CallError> {
        let limits = Limits { deadline: context.deadline, stop: &context.stop };
        let url = match &context.resume {
            Some(token) => self.resume_url(token)?,
            None => match self.post(body, context, limits, classify).await? {
                Hop::Answer(body) => return Ok(Fetched { body, redirects: 0, call_id: None }),
                Hop::Pending(url, _) => {
                    let url = url.unwrap_or_else(|| self.url.clone());
                    self.save(&url, context, limits).await?;
                    url
                }
            },
        };
        self.follow(url, context, limits, classify).await
    }

    /// A GET without work, with credentials only on the inference URL's own origin.
    pub(crate) async fn get(
        &self,
        method: Method,
        url: &Uri,
        limits: Limits<'_>,
    ) -> Result<Response<Incoming>, CallError> {
        let request = self.request(method, url, Bytes::new(), "probe")?;
        self.client.send(request, Stage::Request, limits).await
    }

    async fn post(
        &self,
        body: Bytes,
        context: &CallContext,
        limits: Limits<'_>,
        classify: Classify,
    ) -> Result<Hop, CallError> {
        let mut request = self.request(Method::POST, &self.url, body, &context.trace_id)?;
        let key = context.attempt.to_string();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("idempotency-key", header_value(&key)?);
        let response = self.client.send(request, Stage::Request, limits).await?;
        self.hop(response, &self.url, Stage::Request, limits, classify).await.map_err(|mut error| {
            if error.code == ErrorCode::ConnectionLost && error.stage == Stage::Body {
                error.code = ErrorCode::MalformedAnswer;
            }
            error
        })
    }

    async fn follow(
        &self,
        mut url: Uri,
        context: &CallContext,
        limits: Limits<'_>,
        classify: Classify,
    ) -> Result<Fetched, CallError> {
        for redirects in 1..=MAX_HOPS {
            let begun = self.clock.monotonic();
            match self.reload(&url, context, limits, classify).await? {
                Hop::Answer(body) => return Ok(Fetched { body, redirects, call_id: call_id(&url) }),
                Hop::Pending(next, wait) => {
                    if let Some(next) = next.filter(|next| *next != url) {
                        self.save(&next, context, limits).await?;
                        url = next;
                    }
                    let fast = self.clock.monotonic().since(begun) < FAST;
                    let pause = if fast { wait.max(jittered(redirects)) } else { wait };
                    self.client.pause(pause, limits).await?;
                }
            }
        }
        Err(CallError::new(
            ErrorCode::TooManyRedirects,
            Stage::ResultUrl,
            "the result URL never brought an answer",
        ))
    }

    /// One GET of a result URL. What a reload can cure is pending, never a reason for a new POST.
    async fn reload(
        &self,
        url: &Uri,
        context: &CallContext,
        limits: Limits<'_>,
        classify: Classify,
    ) -> Result<Hop, CallError> {
        let request = self.request(Method::GET, url, Bytes::new(), &context.trace_id)?;
        let hop = match self.client.send(request, Stage::ResultUrl, limits).await {
            Ok(response) => self.hop(response, url, Stage::ResultUrl, limits, classify).await,
            Err(error) => Err(error),
        };
        hop.or_else(|error| {
            if is_reloadable(&error) {
                Ok(Hop::Pending(None, error.retry_after.unwrap_or_default()))
            } else {
                Err(error)
            }
        })
    }

    async fn hop(
        &self,
        response: Response<Incoming>,
        url: &Uri,
        stage: Stage,
        limits: Limits<'_>,
        classify: Classify,
    ) -> Result<Hop, CallError> {
        let (head, body) = response.into_parts();
        if head.status.is_redirection() {
            return self.redirect(head.status, &head.headers, url, stage);
        }
        let body = self.client.read(body, limits).await.map_err(|mut error| {
            error.http_status = Some(head.status.as_u16());
            error
        })?;
        if head.status.is_success() {
            return Ok(Hop::Answer(body));
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
        Err(classify(&Refusal {
            status: head.status.as_u16(),
            body: &text,
            retry_after: retry_after(&head.headers, self.clock.now()),
            on_result_url: stage == Stage::ResultUrl,
            provider_queues: self.config.provider_queues,
        }))
    }

    fn redirect(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        url: &Uri,
        stage: Stage,
    ) -> Result<Hop, CallError> {
        let fail = |message: &str| {
            let mut error = CallError::new(ErrorCode::BadRedirect, stage, message);
            error.http_status = Some(status.as_u16());
            Err(error)
        };
        let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        let Some(next) = location.and_then(|location| resolve(url, location)) else {
            return fail("a redirect without a usable Location");
        };
        if !same_origin(&self.url, &next) {
            return fail("the redirect leads to another origin and was not followed; check inference_url");
        }
        let has_call_id = next.query().is_some_and(|query| query.contains(CALL_ID));
        if !has_call_id && (status != StatusCode::SEE_OTHER || next == self.url) {
            return fail("the redirect is not a result URL; check inference_url");
        }
        Ok(Hop::Pending(Some(next), Duration::ZERO))
    }

    fn request(
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
        headers.insert("x-trace-id", header_value(trace)?);
        if same_origin(&self.url, url) {
            headers.extend(self.auth.iter().cloned());
        }
        Ok(request)
    }

    async fn save(&self, url: &Uri, context: &CallContext, limits: Limits<'_>) -> Result<(), CallError> {
        let token = serde_json::to_string(&Token { url: url.to_string() }).map_err(|_| {
            CallError::new(ErrorCode::Internal, Stage::ResultUrl, "the result URL cannot be stored")
        })?;
        // Durable before anyone waits on it (C2), also when the call is being stopped just now.
        context.checkpoint.save(ResumeToken(token)).await.map_err(|error| match error {
            CheckpointError::Lost => {
                CallError::new(ErrorCode::Cancelled, Stage::ResultUrl, "the lease was lost")
            }
            CheckpointError::Store(_) => {
                CallError::new(ErrorCode::Internal, Stage::ResultUrl, "the result URL could not be stored")
            }
        })?;
        self.client.pause(Duration::ZERO, limits).await
    }

    fn resume_url(&self, token: &ResumeToken) -> Result<Uri, CallError> {
        let url =
            serde_json::from_str::<Token>(&token.0).ok().and_then(|token| token.url.parse::<Uri>().ok());
        url.filter(|url| same_origin(&self.url, url)).ok_or_else(|| {
            let message =
                "the stored result URL does not belong to this endpoint; was inference_url changed?";
            CallError::new(ErrorCode::ResultExpired, Stage::ResultUrl, message)
        })
    }
}

/// Retry-After as seconds or an HTTP date (RFC 9110 section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn is_reloadable(error: &CallError) -> bool {
    let connection = matches!(
        error.code,
        ErrorCode::ConnectionLost | ErrorCode::ConnectRefused | ErrorCode::DnsFailed | ErrorCode::TlsFailed
    );
    let status = matches!(error.http_status, Some(408 | 429 | 502 | 503 | 504));
    connection
        || (status
            && !matches!(
                error.class(),
                ErrorClass::SpendLimit | ErrorClass::Protocol | ErrorClass::Timeout | ErrorClass::Cancelled
            ))
}

/// 1 s to 2 s at first, growing to 4 s to 5 s.
fn jittered(hop: u32) -> Duration {
    let base = 1000 * u64::from(hop.min(4));
    Duration::from_millis(base + RandomState::new().hash_one(hop) % 1000)
}

fn call_id(url: &Uri) -> Option<String> {
    url.query()?
        .split('&')
        .find_map(|pair| pair.strip_prefix(CALL_ID))
        .map(|id| id.chars().take(200).collect())
}

fn header_value(text: &str) -> Result<HeaderValue, CallError> {
    HeaderValue::from_str(text)
        .map_err(|_| CallError::new(ErrorCode::Internal, Stage::Request, "an id cannot stand in a header"))
}

fn credentials(
    config: &EndpointConfig,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let value = |name: &str, prefix: &str| {
        let problem = |what: &str| {
            ConfigError::new(&config.id(), "auth", &format!("environment variable {name} {what}"))
        };
        let text = env(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| problem("is not set; set it, or remove auth"))?;
        let mut value = HeaderValue::from_str(&format!("{prefix}{text}"))
            .map_err(|_| problem("holds characters that no header may hold; set it again"))?;
        value.set_sensitive(true);
        Ok(value)
    };
    Ok(match &config.auth {
        None => Vec::new(),
        Some(AuthConfig::Modal { modal_key_env, modal_secret_env }) => vec![
            (HeaderName::from_static("modal-key"), value(modal_key_env, "")?),
            (HeaderName::from_static("modal-secret"), value(modal_secret_env, "")?),
        ],
        Some(AuthConfig::Bearer { bearer_env }) => {
            vec![(header::AUTHORIZATION, value(bearer_env, "Bearer ")?)]
        }
    })
}
