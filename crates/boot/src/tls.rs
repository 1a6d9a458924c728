//! TLS of the API: certificate and key from files at the start, and again whenever the files change.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use beacon_domain::Clock;
use rustls::{
    Error as TlsError, InconsistentKeys, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::{FileError, TlsConfig, keys, read_bounded};

/// The longest file of either kind, in bytes.
const LIMIT: u64 = 1024 * 1024;
/// Between two looks at the files.
const EVERY: Duration = Duration::from_secs(10);
/// What clients may choose, the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its key. Connections that begin after a renewal get the new one.
pub struct ServerTls {
    files: TlsConfig,
    config: RwLock<Arc<ServerConfig>>,
    /// What was read last, whether it could be used or not.
    read: Mutex<Pair>,
}

/// The bytes of both files.
#[derive(PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl ServerTls {
    /// Reads both files.
    ///
    /// # Errors
    /// One of them cannot be read, or does not hold what it should; the key may be read by everybody (on Unix), or is not
    /// the certificate's.
    pub fn load(files: &TlsConfig) -> Result<Arc<Self>, FileError> {
        let read = Pair::read(files)?;
        let config = RwLock::new(Arc::new(read.config(files)?));
        Ok(Arc::new(Self { files: files.clone(), config, read: Mutex::new(read) }))
    }

    /// Looks at the files again and again. What cannot be used is told once, and what was good before is served on.
    pub fn follow(
        self: &Arc<Self>,
        clock: Arc<dyn Clock>,
    ) -> impl Future<Output = Infallible> + Send + use<> {
        let tls = Arc::clone(self);
        async move {
            let mut told = String::new();
            loop {
                clock.sleep_until(clock.monotonic() + EVERY).await;
                let looking = Arc::clone(&tls);
                // Files may stand on a network that hangs.
                let problem = match tokio::task::spawn_blocking(move || looking.look()).await {
                    Ok(Ok(false)) => continue,
                    Ok(Ok(true)) => String::new(),
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                };
                if problem.is_empty() {
                    info!("the API's certificate was read anew; new connections get it");
                } else if problem != told {
                    warn!("the API's certificate cannot be renewed, the one of before is served: {problem}");
                }
                told = problem;
            }
        }
    }

    /// What new connections are secured with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner)).into()
    }

    /// Reads the files if they have changed. `false` if they have not.
    fn look(&self) -> Result<bool, FileError> {
        let found = Pair::read(&self.files)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == found {
            return Ok(false);
        }
        let config = found.config(&self.files);
        *read = found;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config?);
        Ok(true)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Pair {
    fn read(files: &TlsConfig) -> Result<Self, FileError> {
        let certificate = read_bounded(&files.certificate, LIMIT)?;
        let key = read_bounded(&files.key, LIMIT)?;
        keys::check_not_public(&files.key)?;
        Ok(Self { certificate, key })
    }

    fn config(&self, files: &TlsConfig) -> Result<ServerConfig, FileError> {
        let (certificate, key) = (&files.certificate, &files.key);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.map_err(|error| invalid(certificate, format!("cannot be read as PEM: {error}")))?;
        if chain.is_empty() {
            let message = "holds no certificate; give the server's own, and behind it those between it and its authority, \
                           as PEM";
            return Err(invalid(certificate, message.to_owned()));
        }
        let secret = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| {
            let message =
                "holds no private key that can be read; give it as PEM (PKCS#8, PKCS#1 or SEC1), not encrypted";
            invalid(key, message.to_owned())
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |error: TlsError| match error {
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let message = format!("is not the key of the certificate in {}", certificate.display());
                invalid(key, message)
            }
            TlsError::InvalidCertificate(problem) => {
                invalid(certificate, format!("the certificate cannot be used: {problem:?}"))
            }
            other => invalid(key, format!("the key cannot be used: {other}")),
        };
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(unusable)?.with_no_client_auth();
        let mut config = builder.with_single_cert(chain, secret).map_err(unusable)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

fn invalid(path: &Path, message: String) -> FileError {
    FileError::Invalid { path: path.to_owned(), message }
}
