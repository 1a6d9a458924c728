//! Logs, to standard error.

use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::{EnvFilter, fmt};

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
    _writer: Option<tracing_appender::non_blocking::WorkerGuard>,
}

/// Lines that wait for a standard error that stands still; more are lost and counted nowhere, but hold nothing up.
const WAITING_LINES: usize = 100_000;

/// Starts the logs of this process. `RUST_LOG` overrides `level`; colours are for terminals, unless `NO_COLOR` is set.
pub fn start_logs(level: &str, format: LogFormat) -> Logs {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let coloured =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let writer = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).thread_name("beacon-log");
    let (writer, guard) = writer.finish(std::io::stderr());
    let logs =
        fmt().with_env_filter(filter).with_writer(writer).with_ansi(coloured).log_internal_errors(false);
    // A second start in one process, as in tests, keeps the first.
    let started = match format {
        LogFormat::Text => logs.with_target(false).try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
    Logs { _writer: started.is_ok().then_some(guard) }
}
