//! The endpoint's listener and what a test asks of it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    http1, http2,
    log::{Log, Seen},
    request::SeenRequest,
    script::Script,
};

/// Only ends a test that would hang otherwise; no test waits for it.
const SAFETY_NET: Duration = Duration::from_secs(120);

/// A server on a free port of loopback. Dropping it closes the listener and all connections.
#[derive(Debug)]
pub struct ScriptedEndpoint {
    addr: SocketAddr,
    scheme: &'static str,
    log: Arc<Log>,
    _stop: DropGuard,
}

/// What is spoken on a connection.
#[derive(Clone)]
enum Protocol {
    Http1,
    Http2,
    Tls(TlsAcceptor),
}

impl ScriptedEndpoint {
    /// HTTP/1.1 in clear text.
    pub async fn start(script: Script) -> Self {
        Self::listen(script, Protocol::Http1, "http").await
    }

    /// HTTP/2 in clear text, by prior knowledge.
    pub async fn start_http2(script: Script) -> Self {
        Self::listen(script, Protocol::Http2, "http").await
    }

    /// TLS, with HTTP/2 if it is agreed by ALPN, else HTTP/1.1.
    pub async fn start_tls(script: Script, config: Arc<ServerConfig>) -> Self {
        Self::listen(script, Protocol::Tls(config.into()), "https").await
    }

    async fn listen(script: Script, protocol: Protocol, scheme: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let log = Arc::new(Log::new(script.at(&format!("{scheme}://{addr}"))));
        let stop = CancellationToken::new();
        let accepting = accept(listener, protocol, Arc::clone(&log), stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Self { addr, scheme, log, _stop: stop.drop_guard() }
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of a path that begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.addr)
    }

    /// The same with `localhost` as host.
    #[must_use]
    pub fn localhost_url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.addr.port())
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.log.seen.borrow().requests.clone()
    }

    /// The methods of all requests so far.
    #[must_use]
    pub fn methods(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.method).collect()
    }

    /// Connections opened so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.log.seen.borrow().opened
    }

    /// Returns when `n` requests have arrived in all.
    pub async fn wait_for_requests(&self, n: usize) {
        self.wait(&format!("{n} requests"), |seen| seen.requests.len() >= n).await;
    }

    /// Returns when `n` connections have been opened in all.
    pub async fn wait_for_connections(&self, n: usize) {
        self.wait(&format!("{n} connections"), |seen| seen.opened >= n).await;
    }

    /// Returns when `n` connections have ended in all.
    pub async fn wait_for_closed(&self, n: usize) {
        self.wait(&format!("{n} closed connections"), |seen| seen.closed >= n).await;
    }

    async fn wait(&self, what: &str, reached: impl FnMut(&Seen) -> bool) {
        let mut seen = self.log.seen.subscribe();
        let waited = tokio::time::timeout(SAFETY_NET, seen.wait_for(reached)).await;
        assert!(waited.is_ok(), "no {what} came");
    }
}

async fn accept(listener: TcpListener, protocol: Protocol, log: Arc<Log>, stop: CancellationToken) {
    while let Ok((stream, _)) = listener.accept().await {
        let connection = connection(stream, protocol.clone(), Arc::clone(&log));
        tokio::spawn(stop.clone().run_until_cancelled_owned(connection));
    }
}

async fn connection(stream: TcpStream, protocol: Protocol, log: Arc<Log>) {
    let number = log.opened();
    // How a connection ends is the client's business; the test looks at what the client makes of it.
    let _ = serve(stream, protocol, number, &log).await;
    log.closed();
}

async fn serve(stream: TcpStream, protocol: Protocol, number: usize, log: &Arc<Log>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match protocol {
        Protocol::Http1 => http1::serve(stream, number, log).await,
        Protocol::Http2 => http2::serve(stream, number, log).await,
        Protocol::Tls(acceptor) => {
            let stream = acceptor.accept(stream).await?;
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                http2::serve(stream, number, log).await
            } else {
                http1::serve(stream, number, log).await
            }
        }
    }
}
