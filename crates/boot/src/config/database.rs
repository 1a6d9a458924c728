//! Settings of the shared database.

use std::{fmt, path::PathBuf, time::Duration};

use beacon_domain::seconds;
use beacon_store::PostgresOptions;
use serde::{Deserialize, Serialize, Serializer};

use crate::{FileError, read_bounded};

const CA_LIMIT: u64 = 1024 * 1024;

/// How to reach PostgreSQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `postgres://user:password@host:5432/database`, or libpq's key-value text; it may lead to a pooler in transaction mode.
    pub url: Option<DatabaseUrl>,
    /// The way around a pooler, for hints of other processes and for migrations.
    pub direct_url: Option<DatabaseUrl>,
    /// The most connections of one process, besides one that listens.
    pub connections: usize,
    /// How long a transaction waits for a free connection, and a connection for the server.
    #[serde(rename = "patience_s", with = "seconds")]
    pub patience: Duration,
    /// How long the statements of one queue transaction may take.
    #[serde(rename = "statement_timeout_s", with = "seconds")]
    pub statement_timeout: Duration,
    /// PEM file of the only certificate authorities trusted, in place of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// The URL of a database, whose password is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct DatabaseUrl(String);

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: None,
            direct_url: None,
            connections: 8,
            patience: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(15),
            ca_file: None,
        }
    }
}

impl DatabaseConfig {
    /// What the store needs to connect.
    ///
    /// # Errors
    /// There is no URL, or the file of certificates cannot be read.
    pub fn options(&self, application: &str) -> Result<PostgresOptions, FileError> {
        let invalid =
            |message: &str| FileError::Invalid { path: "database.url".into(), message: message.to_owned() };
        let url = self.url.as_ref().filter(|url| !url.0.is_empty()).ok_or_else(|| {
            invalid(
                "is not set; set the variable BEACON__DATABASE__URL=postgres://user:password@host/database",
            )
        })?;
        let ca_pem = self.ca_file.as_deref().map(|path| read_bounded(path, CA_LIMIT)).transpose()?;
        Ok(PostgresOptions {
            direct_url: self.direct_url.as_ref().map(|url| url.reveal().to_owned()),
            connections: self.connections,
            patience: self.patience,
            statement_timeout: self.statement_timeout,
            ca_pem,
            application: application.to_owned(),
            ..PostgresOptions::new(url.reveal())
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.connections == 0 {
            return Err("database.connections must be at least 1".to_owned());
        }
        if self.patience.is_zero() || self.statement_timeout < Duration::from_secs(1) {
            return Err(
                "database.patience_s must be more than 0, and database.statement_timeout_s at least 1"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

impl DatabaseUrl {
    /// Keeps it.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The URL with its password, for the driver.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&beacon_store::shown_url(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
