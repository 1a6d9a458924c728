//! Connections: the pool, and single ones that need a session. TLS by rustls, where the URL's `sslmode` wants it.

use std::sync::Arc;

use beacon_domain::StoreError;
use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod, Runtime};
use rustls::{
    ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer, pki_types::pem::PemObject as _,
};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    error::{explain, unavailable},
    options::{PostgresOptions, place},
    session::{Ownership, Pool, Sessions, ownership},
    target::Roots,
    transaction::Connections,
};

/// A single connection, around the pool: who holds it has a session of the server.
pub(crate) type Single = (
    tokio_postgres::Client,
    tokio_postgres::Connection<
        tokio_postgres::Socket,
        <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
    >,
);

impl PostgresOptions {
    /// The pool, after a look whether its sessions are ours.
    pub(crate) async fn pool(&self) -> Result<Connections, StoreError> {
        let config = self.config()?;
        let place = place(&config);
        let ownership = self.ownership(&config, &place).await?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config, self.tls(&self.url)?, recycling);
        let sessions = Sessions { manager, ownership, statement_timeout: self.statement_timeout };
        let pool = Pool::builder(sessions)
            .max_size(self.connections.max(1))
            .wait_timeout(Some(self.patience))
            .create_timeout(Some(self.patience))
            .runtime(Runtime::Tokio1)
            .build();
        let pool =
            pool.map_err(|error| unavailable("cannot make a pool of connections".to_owned(), error))?;
        Ok(Connections { pool, place: place.into(), statement_timeout: self.statement_timeout })
    }

    /// A way around a pooler means that there is one; without it, what the server says decides.
    async fn ownership(&self, config: &Config, place: &str) -> Result<Ownership, StoreError> {
        if self.direct_url.is_some() {
            return Ok(Ownership::Lent);
        }
        let look = async {
            let (one, two) = (self.connect(config).await?, self.connect(config).await?);
            ownership(&one, &two).await.map_err(|error| explain(place, "connect", error))
        };
        let silent =
            |error| unavailable(format!("{place} does not answer; check the server and the network"), error);
        let found = tokio::time::timeout(self.patience, look).await.map_err(silent)??;
        if found == Ownership::Lent {
            tracing::warn!(
                place,
                "the database URL leads to a connection pooler; give the way around it too (database.direct_url), or workers hear of new work only when they poll"
            );
        }
        Ok(found)
    }

    async fn connect(&self, config: &Config) -> Result<Client, StoreError> {
        let tls = self.tls(&self.url)?;
        let (client, connection) =
            config.connect(tls).await.map_err(|error| explain(&place(config), "connect", error))?;
        // It ends with the client, which hears of errors.
        tokio::spawn(async { drop(connection.await) });
        Ok(client)
    }

    /// A connection around a pooler.
    pub(crate) async fn session(&self) -> Result<Single, StoreError> {
        let config = self.direct_config()?;
        let tls = self.tls(self.direct())?;
        config.connect(tls).await.map_err(|error| explain(&place(&config), "connect", error))
    }

    /// The connector verifies the server's certificate and name, whatever the mode is called.
    fn tls(&self, url: &str) -> Result<MakeRustlsConnect, StoreError> {
        let roots = match (Self::roots(url)?, &self.ca_pem) {
            (Roots::File(path), _) => {
                let pem = std::fs::read(&path).map_err(|error| {
                    let path = path.display();
                    let message = format!("cannot read {path}, the sslrootcert of the database URL; check the path and its permissions");
                    unavailable(message, error)
                })?;
                trusted(&pem)?
            }
            (Roots::Configured, Some(pem)) => trusted(pem)?,
            // A system without certificates can still connect without TLS; with TLS it is told that nothing is trusted.
            (Roots::System, _) | (Roots::Configured, None) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                roots
            }
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unavailable("cannot set up TLS".to_owned(), error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

/// The authorities of a PEM text.
fn trusted(pem: &[u8]) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate
            .map_err(|error| unavailable("the database's CA file is no PEM text".to_owned(), error))?;
        let added = roots.add(certificate);
        added.map_err(|error| unavailable("the database's CA file has no certificate".to_owned(), error))?;
    }
    if roots.is_empty() {
        let message =
            "the database's CA file has no certificate; give a PEM file with the authority's".to_owned();
        return Err(StoreError::Unavailable { message, source: None });
    }
    Ok(roots)
}
