//! Settings of log lines.

use serde::{Deserialize, Serialize};

use crate::LogFormat;

/// What is logged and how. `RUST_LOG` overrides the level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Which lines: `info`, `debug`, or a filter of tracing-subscriber.
    pub level: String,
    /// Objects for machines, or text for people.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Json }
    }
}
