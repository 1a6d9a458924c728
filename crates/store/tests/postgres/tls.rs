//! TLS to the server: verified whatever the mode is called. The private server listens on a socket only, so TLS ends at a
//! gate before it. All keys are made for one test and kept nowhere.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use beacon_domain::{JobFilter, JobView as _, StoreError};
use beacon_store::{PostgresOptions, PostgresStore};
use beacon_testkit::Cluster;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream},
};
use tokio_rustls::TlsAcceptor;

use crate::database;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Opens a gate whose certificate is for this name.
async fn gate(issuer: &Issuer, name: &str) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever does not trust the gate goes away.
            tokio::spawn(pass(acceptor.clone(), stream));
        }
    });
    addr
}

/// SSLRequest, `S`, TLS, then whatever both sides say
/// (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>).
async fn pass(acceptor: TlsAcceptor, mut stream: TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 8]).await?;
    stream.write_all(b"S").await?;
    let mut client = acceptor.accept(stream).await?;
    let mut server = UnixStream::connect(Cluster::shared().socket().join(".s.PGSQL.5432")).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn connect(addr: SocketAddr, rest: &str) -> Result<PostgresStore, StoreError> {
    let options = database::options().await;
    let database = options.url.rsplit_once("dbname=").unwrap().1.to_owned();
    let url = format!("postgres://postgres@localhost:{}/{database}?{rest}", addr.port());
    let mut options = PostgresOptions::new(url);
    options.patience = Duration::from_secs(5);
    PostgresStore::connect(options).await
}

fn pem(folder: &Path, issuer: &Issuer) -> String {
    let file = folder.join("ca.pem");
    std::fs::write(&file, issuer.pem()).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_taken_in_every_mode() {
    let (folder, issuer) = (tempfile::tempdir().unwrap(), authority());
    let (addr, file) = (gate(&issuer, "localhost").await, pem(folder.path(), &issuer));

    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        let store = connect(addr, &format!("sslmode={mode}&sslrootcert={file}")).await;
        let jobs = store.unwrap_or_else(|error| panic!("{mode}: {error}")).jobs(JobFilter::default()).await;
        assert_eq!(jobs.unwrap().items.len(), 0, "{mode}");
    }
}

#[tokio::test]
async fn a_stranger_and_another_name_are_refused_in_every_mode_with_tls() {
    let (folder, issuer, stranger) = (tempfile::tempdir().unwrap(), authority(), authority());
    let file = pem(folder.path(), &issuer);
    let gates = [gate(&stranger, "localhost").await, gate(&issuer, "other.test").await];

    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        for addr in gates {
            let Err(error) = connect(addr, &format!("sslmode={mode}&sslrootcert={file}")).await else {
                panic!("{mode}: taken");
            };
            assert!(error.to_string().contains("TLS failed"), "{mode}: {error}");
        }
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_is_not_there_or_empty_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let addr = gate(&authority(), "localhost").await;

    for (file, expected) in [("none.pem", "none.pem"), (empty.to_str().unwrap(), "no certificate")] {
        let Err(error) = connect(addr, &format!("sslrootcert={file}")).await else { panic!("{file}: taken") };
        assert!(error.to_string().contains(expected), "{error}");
    }
}
