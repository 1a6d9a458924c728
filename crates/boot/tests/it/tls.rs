//! TLS of the API over real sockets: who is served, what is refused, and what a renewal changes. All keys are made for one
//! test and kept nowhere.

use std::{
    fs,
    future::pending,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, routing::get};
use beacon_boot::{ServerTls, TlsConfig};
use beacon_domain::Clock;
use beacon_testkit::ManualClock;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

/// The time that a client has until its first request.
const HEAD: Duration = Duration::from_secs(10);
/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(10);

/// An authority, and a folder with a certificate that it signed and its key.
struct Site {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Site {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let site = Self { folder: tempfile::tempdir().unwrap(), issuer };
        site.issue();
        site
    }

    /// Puts a new certificate and its key in the place of the old ones; gives the certificate.
    fn issue(&self) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path("api.pem"), certificate.pem()).unwrap();
        write_secret(&self.path("api.key"), &key.serialize_pem());
        certificate.der().to_vec()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn files(&self) -> TlsConfig {
        TlsConfig { certificate: self.path("api.pem"), key: self.path("api.key") }
    }

    /// What a client trusts.
    fn trust(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        builder.with_root_certificates(roots).with_no_client_auth()
    }

    /// The certificate that a new connection gets.
    async fn served(&self, addr: SocketAddr) -> Vec<u8> {
        let stream = TcpStream::connect(addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(self.trust())).connect(name, stream).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        shown[0].to_vec()
    }
}

/// A server with TLS, and what renews its certificate.
struct Served {
    addr: SocketAddr,
    clock: ManualClock,
    tasks: Vec<JoinHandle<()>>,
}

impl Served {
    async fn start(site: &Site) -> Self {
        let tls = ServerTls::load(&site.files()).unwrap();
        let clock = ManualClock::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let who = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
        let router = Router::new().route("/", get(who));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let following = tls.follow(Arc::clone(&shared));
        let serving = beacon_boot::serve(
            listener,
            Some(tls),
            router,
            shared,
            beacon_boot::Shares::default(),
            pending(),
        );
        let tasks = vec![
            tokio::spawn(async move { serving.await.unwrap() }),
            tokio::spawn(async move { match following.await {} }),
        ];
        Self { addr, clock, tasks }
    }

    /// Lets time pass until this is true, or the test gives up.
    async fn until<T: PartialEq>(&self, wanted: T, mut look: impl AsyncFnMut() -> T) {
        for _ in 0..500 {
            if look().await == wanted {
                return;
            }
            self.clock.advance(LOOK);
            tokio::task::yield_now().await;
        }
        panic!("it never came");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    set_mode(path, 0o600);
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Version, status, and the client's address as the server sees it, beside the one that it has.
async fn asked(site: &Site, served: &Served, http2: bool) -> (Version, StatusCode, String) {
    let builder = HttpsConnectorBuilder::new().with_tls_config(site.trust()).https_only();
    let connector = if http2 { builder.enable_http2().build() } else { builder.enable_http1().build() };
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let request = Request::get(format!("https://localhost:{}/", served.addr.port()));
    let answer = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
    let (version, status) = (answer.version(), answer.status());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (version, status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_over_tls_and_the_client_keeps_its_address() {
    let site = Site::new();
    let served = Served::start(&site).await;

    let old = asked(&site, &served, false).await;
    let new = asked(&site, &served, true).await;

    assert_eq!((old.0, old.1), (Version::HTTP_11, StatusCode::OK));
    assert_eq!((new.0, new.1), (Version::HTTP_2, StatusCode::OK));
    for (_, _, peer) in [old, new] {
        // A7: limits are counted by this address.
        assert!(peer.starts_with("127.0.0.1:"), "{peer}");
    }
}

// A6: it refuses to start half-configured, and says what is wrong and in which file.
#[tokio::test]
async fn files_that_cannot_be_served_with_are_refused_with_words() {
    let site = Site::new();
    let other = Site::new();
    let (certificate, key) = (site.path("api.pem"), site.path("api.key"));
    let good = (fs::read_to_string(&certificate).unwrap(), fs::read_to_string(&key).unwrap());
    let others_key = fs::read_to_string(other.path("api.key")).unwrap();
    let broken = good.0.replace("MII", "MI!");
    for (certificate_text, key_text, file, words) in [
        (good.1.as_str(), good.1.as_str(), "api.pem", "holds no certificate"),
        ("", good.1.as_str(), "api.pem", "holds no certificate"),
        (broken.as_str(), good.1.as_str(), "api.pem", "cannot be read as PEM"),
        (good.0.as_str(), good.0.as_str(), "api.key", "holds no private key"),
        (good.0.as_str(), "", "api.key", "not encrypted"),
        (good.0.as_str(), others_key.as_str(), "api.key", "is not the key of the certificate in"),
    ] {
        fs::write(&certificate, certificate_text).unwrap();
        write_secret(&key, key_text);

        let error = ServerTls::load(&site.files()).unwrap_err().to_string();

        assert!(error.contains(file) && error.contains(words), "{words}: {error}");
        assert!(!error.contains("PRIVATE KEY") && !error.contains("MII"), "{error}");
    }
    fs::remove_file(&key).unwrap();
    assert!(ServerTls::load(&site.files()).unwrap_err().to_string().contains("cannot read"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_that_everybody_may_read_is_refused_and_one_of_a_group_is_not() {
    let site = Site::new();

    set_mode(&site.path("api.key"), 0o644);
    let refused = ServerTls::load(&site.files()).unwrap_err().to_string();
    set_mode(&site.path("api.key"), 0o640);
    let taken = ServerTls::load(&site.files());

    assert!(refused.contains("api.key") && refused.contains("mode 644"), "{refused}");
    assert!(taken.is_ok(), "{taken:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_served_to_new_connections_and_a_broken_one_is_not() {
    let site = Site::new();
    let served = Served::start(&site).await;
    let first = site.served(served.addr).await;

    // Half of a renewal: the key of the new one is not there yet.
    let second = site.issue();
    let new_key = fs::read_to_string(site.path("api.key")).unwrap();
    write_secret(&site.path("api.key"), "none");
    for _ in 0..5 {
        served.clock.advance(LOOK);
        assert_eq!(site.served(served.addr).await, first, "the last good one is kept");
    }
    write_secret(&site.path("api.key"), &new_key);

    assert_ne!(first, second);
    served.until(second, async || site.served(served.addr).await).await;
}

// A7
#[tokio::test]
async fn a_handshake_that_hangs_is_cut() {
    let site = Site::new();
    let served = Served::start(&site).await;
    // The beginning of a record that promises more; nothing at all; and a head that never ends, after a good handshake.
    let mut begun = TcpStream::connect(served.addr).await.unwrap();
    begun.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    let mut silent = TcpStream::connect(served.addr).await.unwrap();
    let shaken = TcpStream::connect(served.addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut shaken = TlsConnector::from(Arc::new(site.trust())).connect(name, shaken).await.unwrap();
    shaken.write_all(b"P").await.unwrap();

    let passing = async {
        loop {
            served.clock.advance(HEAD / 2);
            tokio::task::yield_now().await;
        }
    };
    let (mut some, mut more) = ([0; 1], [0; 1]);
    let ends = async {
        let ends = tokio::join!(begun.read(&mut some), silent.read(&mut more), shaken.read_u8());
        // How an end is told is the system's business; that nothing was answered is ours.
        (ends.0.unwrap_or(0), ends.1.unwrap_or(0), ends.2.is_err())
    };
    let ends = tokio::select! {
        ends = ends => ends,
        () = passing => unreachable!("time passes without end"),
    };

    assert_eq!(ends, (0, 0, true));
}

// A2
#[tokio::test]
async fn plain_http_to_the_port_of_tls_is_told_so() {
    let site = Site::new();
    let served = Served::start(&site).await;

    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();

    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["code"], "tls_required", "{body}");
    assert!(body["error"]["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{body}");
}
