//! An id for every request, in its answer's header, its errors and its log lines; and the job and the trace that it belongs
//! to (O4).

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use beacon_domain::{JobId, SPANS, SpanId, TraceParent};
use http::{HeaderName, HeaderValue, Method};
use rand::RngExt as _;
use tracing::{
    Instrument as _, Span, debug_span,
    field::{Empty, display},
};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: &str = "traceparent";
const LONGEST: usize = 128;

/// What is known of the request that a task serves.
struct Served {
    id: String,
    /// Where its caller stands in a trace of its own. It names no job's trace: nobody chooses that.
    caller: Option<TraceParent>,
    job: Mutex<Option<JobId>>,
    span: Span,
}

impl Served {
    fn of(request: &Request) -> Self {
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let fits =
            |id: &&str| !id.is_empty() && id.len() <= LONGEST && id.chars().all(|c| c.is_ascii_graphic());
        let id = text(HEADER.as_str()).filter(fits).map_or_else(fresh, str::to_owned);
        let caller = text(TRACEPARENT).and_then(|text| text.parse().ok());
        let span = span(request, &id, caller);
        Self { id, caller, job: Mutex::default(), span }
    }
}

tokio::task_local! {
    static CURRENT: Arc<Served>;
}

/// The id of the request that this task serves.
pub(crate) fn current() -> String {
    CURRENT.try_with(|served| served.id.clone()).unwrap_or_default()
}

/// The request that this task serves is about this job, which may not exist.
pub(crate) fn about(job: JobId) {
    // Without a request there is nothing to say it of.
    let _ = CURRENT.try_with(|served| *served.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job));
}

/// The request that this task serves made this job; the spans of its attempts stand below that of the request.
pub(crate) fn made(job: JobId) {
    about(job);
    let _ = CURRENT.try_with(|served| {
        served.span.record("job", display(job)).record("span_id", display(SpanId::of_job(job)));
    });
}

/// Takes the caller's id if it is short and printable, else makes one; writes a line about the request.
pub(crate) async fn stamp(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let served = Arc::new(Served::of(&request));
    let answer = CURRENT.scope(Arc::clone(&served), next.run(request));
    let mut response = answer.instrument(served.span.clone()).await;
    let Served { id, span, caller, .. } = &*served;
    let (status, caller_trace) =
        (response.status().as_u16(), caller.map(|caller| hex::encode(caller.trace())));
    let job = served.job.lock().unwrap_or_else(PoisonError::into_inner).map(display);
    span.record("status", status);
    // Whoever may not touch a job adds nothing to its trace.
    if let (Some(job), true) = (&job, response.status().is_success()) {
        span.record("job", job);
    }
    // Probes come every few seconds for ever; what changes something, or fails, is worth a line.
    if method == Method::GET && response.status().is_success() {
        tracing::debug!(request_id = id, job, caller_trace, %method, path, status, "{method} {path}: {status}");
    } else {
        tracing::info!(request_id = id, job, caller_trace, %method, path, status, "{method} {path}: {status}");
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// A span for what may change something; reads are counted in the metrics.
fn span(request: &Request, id: &str, caller: Option<TraceParent>) -> Span {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Span::none();
    }
    let matched = request.extensions().get::<MatchedPath>();
    debug_span!(
        target: SPANS, "request",
        kind = "server", request_id = id, method = %request.method(),
        route = matched.map_or("unmatched", MatchedPath::as_str), caller = caller.map(display),
        status = Empty, job = Empty, span_id = Empty,
    )
}

fn fresh() -> String {
    let mut bytes = [0_u8; 16];
    rand::rng().fill(&mut bytes);
    hex::encode(bytes)
}
