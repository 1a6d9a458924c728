//! TLS: a private authority, and what is refused. All keys are made for one test and kept nowhere.

use std::{io::Write as _, sync::Arc};

use beacon_domain::{CallError, ErrorCode, Stage};
use beacon_testkit::{ManualClock, Script, ScriptedEndpoint, reply};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::NamedTempFile;

use crate::support::{
    call::call,
    endpoints::{backend, modal, modal_answer},
};

/// An authority, and the file that an operator would name as `ca_file`.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, file }
    }

    fn server(&self, name: &str, alpn: &[&str]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    fn configuration(&self, endpoint: &ScriptedEndpoint) -> String {
        modal(&endpoint.localhost_url("/")) + &format!("ca_file = {:?}\n", self.file.path())
    }
}

fn good() -> Script {
    Script::new().then_always(reply(200).json(modal_answer()))
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let endpoint = ScriptedEndpoint::start_tls(good(), authority.server("localhost", &[])).await;

    let answer = call(&backend(&authority.configuration(&endpoint), ManualClock::new())).answer().await;

    assert_eq!(answer.text, "yes");
}

#[tokio::test]
async fn http2_is_spoken_where_tls_agrees_on_it_unless_it_is_turned_off_or_too_narrow() {
    let authority = Authority::new();
    let server = authority.server("localhost", &["h2", "http/1.1"]);
    let endpoint = ScriptedEndpoint::start_tls(good(), server).await;
    let auto = authority.configuration(&endpoint);
    let http1 = auto.clone() + "http_version = \"http1\"\n";
    let wide = auto.replace("limit = 64", "limit = 101");

    for text in [auto, http1, wide] {
        assert_eq!(call(&backend(&text, ManualClock::new())).answer().await.text, "yes");
    }

    // Only HTTP/1.1 has a Host header; HTTP/2 has `:authority` in its place.
    let hosts: Vec<bool> =
        endpoint.requests().iter().map(|request| request.header("host").is_some()).collect();
    assert_eq!(hosts, [false, true, true]);
}

#[tokio::test]
async fn many_calls_at_once_agree_on_http2_without_losing_any() {
    let authority = Authority::new();
    let endpoint = ScriptedEndpoint::start_tls(good(), authority.server("localhost", &["h2"])).await;
    let backend = backend(&authority.configuration(&endpoint), ManualClock::new());

    let calls: Vec<_> = (0..64).map(|_| call(&backend).start()).collect();
    for called in calls {
        called.await.unwrap().unwrap();
    }

    assert_eq!(endpoint.requests().len(), 64, "one POST per call");
}

async fn refused(text: &str, endpoint: &ScriptedEndpoint) -> CallError {
    let error = call(&backend(text, ManualClock::new())).error().await;
    assert!(endpoint.requests().is_empty(), "nothing may be sent to a stranger");
    error
}

fn check(error: &CallError, message: &str) {
    assert_eq!((error.code, error.stage), (ErrorCode::TlsFailed, Stage::Connect), "{error}");
    assert!(error.surely_not_started);
    assert!(error.message.contains(message), "{message}: {error}");
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let endpoint = ScriptedEndpoint::start_tls(good(), unknown.server("localhost", &[])).await;

    check(&refused(&known.configuration(&endpoint), &endpoint).await, "ca_file for a private authority");
    check(&refused(&modal(&endpoint.localhost_url("/")), &endpoint).await, "UnknownIssuer");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let endpoint = ScriptedEndpoint::start_tls(good(), authority.server("other.test", &[])).await;

    check(&refused(&authority.configuration(&endpoint), &endpoint).await, "check the host name");
}

#[tokio::test]
async fn a_server_that_speaks_clear_text_is_refused() {
    let authority = Authority::new();
    let endpoint = ScriptedEndpoint::start(Script::new()).await;
    let url = endpoint.localhost_url("/").replace("http:", "https:");
    let garbage = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = modal(
        &url.replace(&endpoint.addr().port().to_string(), &garbage.local_addr().unwrap().port().to_string()),
    ) + &format!("ca_file = {:?}\n", authority.file.path());
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let (mut stream, _) = garbage.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });

    check(&refused(&text, &endpoint).await, "TLS could not be agreed");
}
