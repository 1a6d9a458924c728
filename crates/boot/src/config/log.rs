//! Settings of log lines.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

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

impl LogConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        // A lone word that is no level would be read as the name of a target, of which everything is logged, and nothing else.
        let word = self.level.trim();
        let lone = !word.contains(['=', ',', '[']);
        let known = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        if (lone && !known) || EnvFilter::builder().parse(word).is_err() {
            return Err(format!(
                "log.level is {word:?}; it is one of {}, or a filter such as \"info,beacon_web=debug\"",
                LEVELS.join(", ")
            ));
        }
        Ok(())
    }
}
