//! Connections to addresses that were judged, and to no others: the name is resolved once, all of its addresses are judged,
//! and one of these very addresses is connected to. A name that answers differently the next time (DNS rebinding) is not
//! asked again.

use std::{
    error::Error as StdError,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use beacon_domain::Clock;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::{Resolve, Rules, host::Host, rules::Refusal};

/// For one of several addresses, so that one where nobody answers leaves time for the next.
const ONE_ADDRESS: Duration = Duration::from_secs(4);
/// More addresses of a name are judged, but not tried.
const TRIED: usize = 3;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Makes TCP connections for one URL after the other.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) rules: Arc<Rules>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConnection {
    /// It is not allowed, now and later.
    #[error("the URL {0}")]
    Refused(#[from] Refusal),
    #[error("the host's name does not resolve")]
    Unresolved(#[source] io::Error),
    #[error("nobody can be connected there ({})", .0.kind())]
    Unreachable(#[source] io::Error),
}

impl Connector {
    /// The addresses of a URL, each of them allowed.
    async fn addresses(&self, url: &Uri) -> Result<Vec<SocketAddr>, NoConnection> {
        let found = match self.rules.judge_url(url)? {
            Host::Address(address) => vec![address],
            Host::Name(name) => self.resolver.resolve(&name).await.map_err(NoConnection::Unresolved)?,
        };
        // One that is not allowed refuses the name: what resolves to both is made to get past a guard.
        for address in &found {
            self.rules.judge_address(*address)?;
        }
        let https = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if https { 443 } else { 80 });
        Ok(found.into_iter().map(|address| SocketAddr::new(address.to_canonical(), port)).collect())
    }

    async fn connect(self, url: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in self.addresses(&url).await?.into_iter().take(TRIED) {
            match self.connect_to(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(TokioIo::new(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(NoConnection::Unreachable(last).into())
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        tokio::select! {
            biased;
            connected = TcpStream::connect(address) => connected,
            () = self.clock.sleep_until(self.clock.monotonic() + ONE_ADDRESS) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        Box::pin(self.clone().connect(url))
    }
}
