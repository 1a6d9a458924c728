//! The collector: one POST per batch, bounded in time, from the exporter's own thread; and words about one that is away,
//! once in a while.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{Clock, Monotonic};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use tokio::runtime::{Builder, Runtime};
use tracing::{info, warn};

/// The longest answer that is read.
const ANSWER: usize = 64 * 1024;
/// Between two lines about a collector that takes nothing.
const TELL: Duration = Duration::from_secs(60);

/// Sends batches. Its runtime is its own: the exporter's thread has none, and the service's is gone when the last batch is
/// sent.
pub(super) struct Collector {
    runtime: Runtime,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    limit: Duration,
}

impl Collector {
    pub(super) fn new(limit: Duration) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_webpki_roots()
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = connector.enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { runtime: Builder::new_current_thread().enable_all().build()?, client, limit })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.request(request.map(Full::new)).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Collector {
    /// Blocks its thread, which does nothing else.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.runtime.block_on(async {
            let sent = tokio::time::timeout(self.limit, self.send(request));
            sent.await.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.limit).into()))
        })
    }
}

/// An exporter that says, at most once a minute, that spans are lost.
#[derive(Debug)]
pub(super) struct Telling<E> {
    inner: E,
    url: String,
    clock: Arc<dyn Clock>,
    lost: AtomicU64,
    told: Mutex<Option<Monotonic>>,
}

impl<E> Telling<E> {
    pub(super) fn new(inner: E, url: String, clock: Arc<dyn Clock>) -> Self {
        Self { inner, url, clock, lost: AtomicU64::new(0), told: Mutex::new(None) }
    }

    fn tell(&self, batch: u64, error: &OTelSdkError) {
        let lost = self.lost.fetch_add(batch, Ordering::Relaxed) + batch;
        let (now, mut told) =
            (self.clock.monotonic(), self.told.lock().unwrap_or_else(PoisonError::into_inner));
        if told.is_none_or(|told| now.since(told) >= TELL) {
            *told = Some(now);
            warn!(lost, "spans cannot be sent to {}, {lost} are lost: {error}", self.url);
        }
    }

    fn sent(&self) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            info!("spans are sent to {} again", self.url);
        }
    }
}

impl<E: SpanExporter> SpanExporter for Telling<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let exported = self.inner.export(batch).await;
        match &exported {
            Ok(()) => self.sent(),
            Err(error) => self.tell(spans, error),
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
