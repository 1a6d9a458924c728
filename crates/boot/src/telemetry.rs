//! Logs, to standard error; and spans, where a service's configuration asks for them.

use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    ServiceConfig,
    traces::{SpanLayer, Traces},
};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Ends the logs: what was logged is written first, if standard error takes it.
#[must_use = "logs end when this is dropped"]
pub struct Logs {
    // The fields end in this order: the last spans may have something to log.
    _traces: Option<Traces>,
    _writer: Option<WorkerGuard>,
}

/// Lines that wait for a standard error that stands still; more are lost and counted nowhere, but hold nothing up.
const WAITING_LINES: usize = 100_000;

/// Starts the logs of this process. `RUST_LOG` overrides `level`; colours are for terminals, unless `NO_COLOR` is set.
pub fn start_logs(level: &str, format: LogFormat) -> Logs {
    let (lines, writer) = lines(format);
    // A second start in one process, as in tests, keeps the first.
    let started = Registry::default().with(lines.with_filter(filter(level))).try_init();
    Logs { _traces: None, _writer: started.is_ok().then_some(writer) }
}

/// Starts the logs of a service, and its spans if there is a collector for them.
///
/// # Errors
/// Spans cannot be exported from this process at all. A collector that is away is no error.
pub(crate) fn start_telemetry(service: &str, config: &ServiceConfig) -> anyhow::Result<Logs> {
    let Some((spans, traces)) = Traces::start(&config.telemetry, service)? else {
        return Ok(start_logs(&config.log.level, config.log.format));
    };
    let (lines, writer) = lines(config.log.format);
    let lines = lines.with_filter(filter(&config.log.level));
    let started = Registry::default().with(lines).with(spans.with_filter(SpanLayer::filter())).try_init();
    Ok(Logs { _traces: Some(traces), _writer: started.is_ok().then_some(writer) })
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level))
}

/// Log lines, and what must live as long as they are written.
fn lines(format: LogFormat) -> (Box<dyn Layer<Registry> + Send + Sync>, WorkerGuard) {
    let coloured =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let writer = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).thread_name("beacon-log");
    let (writer, guard): (NonBlocking, WorkerGuard) = writer.finish(std::io::stderr());
    let lines = fmt::layer().with_writer(writer).with_ansi(coloured).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    (lines, guard)
}
