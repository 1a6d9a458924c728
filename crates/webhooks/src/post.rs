//! One attempt: a signed POST to an allowed address, bounded in time, never redirected.

use std::{error::Error as StdError, io, sync::Arc, time::Duration};

use beacon_domain::{Clock, NewDelivery};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{
    Resolve, Rules,
    connector::{Connector, NoConnection},
    retry_after::retry_after,
    schedule::Attempted,
};

/// The longest head of an answer, in bytes. The body is not read: the head decides.
const MAX_HEAD: usize = 64 * 1024;

/// How deliveries are sent.
#[derive(Debug, Clone)]
pub struct PostOptions {
    /// For all of an attempt: name, connection, TLS, and the head of the answer.
    pub timeout: Duration,
    /// PEM certificates of the only authorities trusted, in place of the public ones.
    pub ca_pem: Option<Vec<u8>>,
    /// The header `user-agent`.
    pub user_agent: String,
}

/// Sends deliveries, each on a connection of its own, whose address was judged for it.
pub(crate) struct Poster {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
    options: PostOptions,
}

impl Poster {
    /// # Errors
    /// The certificates cannot be used.
    pub(crate) fn new(
        rules: Arc<Rules>,
        resolver: Arc<dyn Resolve>,
        clock: Arc<dyn Clock>,
        options: PostOptions,
    ) -> Result<Self, String> {
        let connector = Connector { rules: Arc::clone(&rules), resolver, clock: Arc::clone(&clock) };
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls(options.ca_pem.as_deref())?);
        let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .http1_max_buf_size(MAX_HEAD)
            .build(connector);
        Ok(Self { client, rules, clock, options })
    }

    /// Tries once.
    pub(crate) async fn post(&self, delivery: &NewDelivery, public_key: &[u8; 32]) -> Attempted {
        let Ok(url) = delivery.url.parse::<Uri>() else {
            return Attempted::Final { status: None, error: "the URL cannot be read".to_owned() };
        };
        let until = self.clock.monotonic() + self.options.timeout;
        let request = match self.request(delivery, url, public_key) {
            Ok(request) => request,
            Err(error) => {
                return Attempted::Final { status: None, error: format!("it cannot be sent: {error}") };
            }
        };
        let answered = tokio::select! {
            biased;
            answered = self.client.request(request) => answered,
            () = self.clock.sleep_until(until) => {
                let error = format!("no answer within {:?}", self.options.timeout);
                return Attempted::Failed { status: None, error, retry_after: None };
            }
        };
        match answered {
            Ok(answer) => self.judge(answer.status(), answer.headers()),
            Err(error) => explain(&error),
        }
    }

    fn request(
        &self,
        delivery: &NewDelivery,
        url: Uri,
        public_key: &[u8; 32],
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let (body, now) = (delivery.body.as_bytes(), self.clock.now());
        Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, &self.options.user_agent)
            .header(header::CONNECTION, "close")
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", now.as_second())
            .header("webhook-signature", self.rules.secrets.sign(public_key, &delivery.id, now, body))
            .body(Full::new(Bytes::copy_from_slice(body)))
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Attempted {
        let code = status.as_u16();
        let failed =
            |error: String, retry_after| Attempted::Failed { status: Some(code), error, retry_after };
        match code {
            200..=299 => Attempted::Delivered { status: code },
            300..=399 => {
                failed(format!("answered {code}: a redirect is never followed; name the final address"), None)
            }
            410 => {
                let error = "answered 410: the receiver wants no more".to_owned();
                Attempted::Final { status: Some(code), error }
            }
            429 | 503 => failed(format!("answered {code}"), retry_after(headers, self.clock.now())),
            _ => failed(format!("answered {code}"), None),
        }
    }
}

fn tls(ca_pem: Option<&[u8]>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let Some(pem) = ca_pem else { return Ok(builder.with_webpki_roots().with_no_client_auth()) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("there is no certificate".to_owned());
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What a failure means. The text never has the URL's path or query, which may hold a secret of the receiver.
fn explain(error: &Error) -> Attempted {
    let known = causes(error).find_map(|cause| {
        if let Some(connection) = cause.downcast_ref::<NoConnection>() {
            let is_final = matches!(connection, NoConnection::Refused(_));
            return Some((is_final, connection.to_string()));
        }
        let tls = cause.downcast_ref::<rustls::Error>()?;
        Some((false, format!("TLS could not be agreed: {tls}")))
    });
    let (is_final, error) = known.unwrap_or_else(|| {
        let what = if error.is_connect() {
            "nobody can be connected there"
        } else {
            "the connection broke before an answer came"
        };
        (false, what.to_owned())
    });
    if is_final {
        return Attempted::Final { status: None, error };
    }
    Attempted::Failed { status: None, error, retry_after: None }
}

/// An error and what caused it, from the outside in.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        // An `io::Error` gives the source of what it wraps, not what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| (**error).source())
    })
}
