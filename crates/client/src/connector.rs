//! Connections: name, TCP and TLS, and what their failures mean for a person.

use std::{error::Error as StdError, io, path::Path, sync::Arc, time::Duration};

use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::ClientError;

/// For TCP alone, shared between the addresses of a name.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that vanished without a word is noticed within about a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// Makes connections by HTTP/1.1 or HTTP/2, with TLS where the URL says so.
pub(crate) fn connector(ca_file: Option<&Path>) -> Result<HttpsConnector<HttpConnector>, ClientError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(TCP_TIMEOUT));
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    http.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls(ca_file)?).https_or_http();
    Ok(builder.enable_all_versions().wrap_connector(http))
}

fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Options(format!("TLS cannot be set up: {error}")))?;
    let Some(path) = ca_file else { return Ok(builder.with_webpki_roots().with_no_client_auth()) };
    let unusable = |error: &dyn std::fmt::Display| {
        let file = path.display();
        ClientError::Options(format!(
            "{file} cannot be used ({error}); give a readable PEM file of certificates"
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
        roots.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&"it holds no certificate"));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Why there is no connection, and what to do.
pub(crate) fn explain(error: &(dyn StdError + 'static)) -> String {
    let unknown = || "it cannot be connected; check host and port".to_owned();
    causes(error).find_map(meaning).unwrap_or_else(unknown)
}

/// An error and what caused it, from the outside in.
pub(crate) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        // An `io::Error` gives the source of what it wraps, not what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| (**error).source())
    })
}

fn meaning(cause: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        // What a server that speaks plain HTTP says to a TLS greeting.
        if matches!(tls, rustls::Error::InvalidMessage(_)) {
            return Some("it does not speak TLS; check the port, or give the URL with http://".to_owned());
        }
        return Some(format!(
            "TLS could not be agreed: {tls}; check the host name, and give the certificates of a private authority"
        ));
    }
    // The name of hyper-util's error for this; it has no type of its own.
    if cause.to_string().starts_with("dns error") {
        return Some("the host's name does not resolve; check the URL".to_owned());
    }
    let io = cause.downcast_ref::<io::Error>().filter(|io| io.get_ref().is_none())?;
    Some(match io.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there (connection refused); start beacon-api, or correct the URL".to_owned()
        }
        io::ErrorKind::TimedOut => "nobody answers there; check host, port and firewalls".to_owned(),
        _ => format!("it cannot be connected: {io}"),
    })
}
