//! How to reach the database.

use std::{sync::Arc, time::Duration};

use beacon_domain::{Clock, StoreError, SystemClock};
use tokio_postgres::{Config, config::Host};

use super::target::{Roots, Target};

/// How to reach a PostgreSQL database, and how many connections to keep.
#[derive(Clone)]
pub struct PostgresOptions {
    /// A URL (`postgres://user:password@host:5432/database`) or key-value text, as libpq takes them. Where TLS is used, the
    /// server's certificate and name are verified: `sslmode=require`, `verify-ca` and `verify-full` are the same here. It may
    /// lead to a connection pooler in transaction mode. It may hold a password, so it is never shown.
    pub url: String,
    /// The way around a pooler, for `LISTEN` and for migrations, which need a session. Without it `url` is used: behind
    /// a pooler the hints of other processes are then lost, and polling remains.
    pub direct_url: Option<String>,
    /// The most connections of this process, besides one that listens; at least 1.
    pub connections: usize,
    /// How long a transaction waits for a free connection, and a connection for the server.
    pub patience: Duration,
    /// How long the statements of one queue transaction may take. Acceptance, cancels and deadlines of whole jobs get
    /// forty times as much.
    pub statement_timeout: Duration,
    /// PEM text of the certificates to trust instead of the system's. A URL's `sslrootcert` is over it.
    pub ca_pem: Option<Vec<u8>>,
    /// What the server sees as the application's name.
    pub application: String,
    /// The machine's clock. Its dates are corrected by the server's: see [`PostgresStore::clock`](super::PostgresStore::clock).
    pub clock: Arc<dyn Clock>,
}

impl PostgresOptions {
    /// Defaults for this URL: 8 connections, 10 s of patience, 15 s for a transaction's statements.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            direct_url: None,
            connections: 8,
            patience: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(15),
            ca_pem: None,
            application: "beacon".to_owned(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The parsed `url`.
    pub(crate) fn config(&self) -> Result<Config, StoreError> {
        self.parse(&self.url)
    }

    /// The parsed way around a pooler.
    pub(crate) fn direct_config(&self) -> Result<Config, StoreError> {
        self.parse(self.direct())
    }

    /// The way around a pooler.
    pub(crate) fn direct(&self) -> &str {
        self.direct_url.as_deref().unwrap_or(&self.url)
    }

    /// Whom this URL trusts.
    pub(crate) fn roots(url: &str) -> Result<Roots, StoreError> {
        Ok(read(url)?.roots)
    }

    fn parse(&self, url: &str) -> Result<Config, StoreError> {
        let mut config = read(url)?.config;
        config.application_name(&self.application).connect_timeout(self.patience);
        config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(30));
        Ok(config)
    }
}

fn read(url: &str) -> Result<Target, StoreError> {
    Target::read(url).map_err(|message| StoreError::Unavailable { message, source: None })
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.config().map_or_else(|_| "unreadable".to_owned(), |config| place(&config));
        f.debug_struct("PostgresOptions")
            .field("place", &place)
            .field("connections", &self.connections)
            .finish()
    }
}

/// `database at host:port as user`: all that may be shown of a URL.
pub(crate) fn place(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or("the system's user");
    let database = config.get_dbname().or(config.get_user()).unwrap_or("the user's database");
    format!("{database} at {host}:{port} as {user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let options = PostgresOptions::new("postgres://ada:s3cret@db.example:6432/beacon");
        let unreadable = PostgresOptions::new("postgres://ada:s3cret@[");

        assert_eq!(place(&options.config().unwrap()), "beacon at db.example:6432 as ada");
        let shown = format!("{options:?} {unreadable:?} {}", unreadable.config().unwrap_err());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
