//! Spans to an OpenTelemetry collector (O4): only if the configuration names one, from a queue of bounded size, on a thread
//! of its own. A collector that is away or hangs costs spans and nothing else.

mod collector;
mod layer;
mod open;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use beacon_domain::{Clock, SystemClock};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor as _},
};

use self::collector::{Collector, Telling};
pub(crate) use self::layer::SpanLayer;
use crate::TelemetryConfig;

/// Spans that wait to be sent; more are dropped.
const WAITING: usize = 8192;
/// The most that are sent at once.
const BATCH: usize = 512;
/// Between two batches, unless one is full before.
const EVERY: Duration = Duration::from_secs(2);
/// How long one batch may take.
const SENDING: Duration = Duration::from_secs(5);
/// How long the end of the process waits for what was not sent yet.
const LAST: Duration = Duration::from_secs(2);

/// The way to a collector; dropped, it sends what waits, for at most two seconds.
pub(crate) struct Traces {
    processor: Arc<BatchSpanProcessor>,
}

impl Traces {
    /// Starts to export, if the configuration names a collector. Nothing is sent yet, so it may be away.
    ///
    /// # Errors
    /// There can be no thread, or no TLS.
    pub(crate) fn start(
        config: &TelemetryConfig,
        service: &str,
    ) -> anyhow::Result<Option<(SpanLayer, Self)>> {
        let Some(url) = config.traces_url() else { return Ok(None) };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(SENDING).context("telemetry.otlp_endpoint")?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url.clone())
            .with_timeout(SENDING)
            .build()
            .context("telemetry.otlp_endpoint")?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let exporter = Telling::new(exporter, url, Arc::clone(&clock));
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        processor.set_resource(&resource(service, clock.as_ref()));
        let processor = Arc::new(processor);
        let layer = SpanLayer::new(Arc::clone(&processor), config.sample_ratio, clock);
        Ok(Some((layer, Self { processor })))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // What could not be sent was told by whoever sends.
        let _ = self.processor.shutdown_with_timeout(LAST);
    }
}

/// Who sends the spans. Nothing of it is taken from the environment.
fn resource(service: &str, clock: &dyn Clock) -> Resource {
    let instance = crate::process_id(service, clock.now());
    Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance))
        .build()
}
