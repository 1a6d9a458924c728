//! The configuration of the services: one TOML file for all of them, and environment variables over it (O2).

mod api;
mod database;
mod environment;
mod log;
mod secret;
mod telemetry;
mod webhooks;
mod worker;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::{
    api::{ApiConfig, TlsConfig},
    database::{DatabaseConfig, DatabaseUrl},
    log::LogConfig,
    secret::Secret,
    telemetry::TelemetryConfig,
    webhooks::WebhooksConfig,
    worker::WorkerConfig,
};
use crate::{FileError, read_bounded};

const LIMIT: u64 = 1024 * 1024;

/// What `api`, `worker` and `migrate` read. Each takes its own section and the shared ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// The endpoints file: what may be planned, and what may be called.
    #[serde(default = "endpoints_file")]
    pub endpoints: PathBuf,
    /// The shared database.
    #[serde(default)]
    pub database: DatabaseConfig,
    /// What a worker does.
    #[serde(default)]
    pub worker: WorkerConfig,
    /// What the API does.
    #[serde(default)]
    pub api: ApiConfig,
    /// Who may be told by webhooks.
    #[serde(default)]
    pub webhooks: WebhooksConfig,
    /// Log lines.
    #[serde(default)]
    pub log: LogConfig,
    /// Spans for an OpenTelemetry collector.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file has it wrong.
    #[error("{0}")]
    File(String),
    /// A variable has it wrong, whatever the file says.
    #[error("the variable {variable}: {message}")]
    Variable {
        /// Its name.
        variable: String,
        /// What is wrong.
        message: String,
    },
}

impl ServiceConfig {
    /// Reads the file, if there is one, and the variables `BEACON__SECTION__SETTING` over it.
    ///
    /// # Errors
    /// The file cannot be read, a setting or variable is unknown, or a value cannot be used; the text says which.
    pub fn load(path: Option<&Path>) -> Result<Self, FileError> {
        let file = match path {
            None => String::new(),
            Some(path) => String::from_utf8(read_bounded(path, LIMIT)?)
                .map_err(|_| invalid(path, "the file is not UTF-8 text".to_owned()))?,
        };
        Self::read(&file, std::env::vars()).map_err(|error| match error {
            ConfigError::File(message) => invalid(path.unwrap_or(Path::new("the configuration")), message),
            ConfigError::Variable { variable, message } => FileError::Variable { variable, message },
        })
    }

    /// Reads TOML and variables.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn read(file: &str, variables: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let in_file = |error: toml::de::Error| ConfigError::File(placed(file, &error));
        // Errors of the file alone name its line.
        let of_file: Self = toml::from_str(file).map_err(in_file)?;
        let overrides = environment::settings(variables)?;
        let config = if overrides.is_empty() {
            of_file
        } else {
            environment::merged(toml::from_str(file).map_err(in_file)?, &overrides)?
        };
        match config.check() {
            Ok(()) => Ok(config),
            Err(problem) => Err(environment::placed(problem, &overrides)),
        }
    }

    /// The effective configuration as TOML, without secrets.
    ///
    /// # Errors
    /// It cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// What cannot work is told with the setting's name.
    fn check(&self) -> Result<(), String> {
        self.log.check()?;
        self.database.check()?;
        self.worker.check()?;
        self.telemetry.check()?;
        self.api.check()?;
        self.webhooks.check()
    }
}

/// Where and what, but of the line only the setting's name: its value may be a secret.
fn placed(file: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else { return error.message().to_owned() };
    let before = file.get(..span.start).unwrap_or(file);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let text = file.lines().nth(line - 1).unwrap_or_default();
    let name = text.split_once('=').map(|(name, _)| name.trim());
    let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    match name.filter(is_name) {
        Some(name) => format!("line {line}, column {column} ({name}): {}", error.message()),
        None => format!("line {line}, column {column}: {}", error.message()),
    }
}

fn endpoints_file() -> PathBuf {
    "endpoints.toml".into()
}

fn invalid(path: &Path, message: String) -> FileError {
    FileError::Invalid { path: path.to_owned(), message }
}
