//! The HTTP server of the services: bounded in connections, in heads and in the time that one may take; it stops gently.

use std::{future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Extension, Router, extract::ConnectInfo};
use beacon_domain::Clock;
use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::{Layer as _, ServiceExt as _};
use tracing::{debug, warn};

use crate::{
    ServerTls,
    guests::{Guests, Seat, Shares},
    handshake::secured,
};

/// Connections at once, and as many again through proxies.
const CONNECTIONS: u32 = 4096;
/// Open files that are for other things than connections: the database, what is read, what is written.
const OTHER_FILES: u64 = 128;
/// The least time between two warnings about connections that were turned away.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// How long a client may take for a request's head, and for all that comes before the first one.
pub(crate) const HEAD: Duration = Duration::from_secs(10);
/// The most headers of a request; more are a 431.
const HEADERS: usize = 64;
/// The longest head of a request, in bytes; a longer one is a 431.
const HEAD_BYTES: usize = 32 * 1024;
/// Requests at once over one HTTP/2 connection.
const STREAMS: u32 = 128;
/// How long a client may take nothing of what is sent to it.
const STUCK: Duration = Duration::from_secs(30);
/// After a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);
/// How long requests in flight may go on after the stop.
const GRACE: Duration = Duration::from_secs(10);

/// What every connection is served with.
struct Service {
    builder: Builder<TokioExecutor>,
    router: Router,
    tls: Option<Arc<ServerTls>>,
    clock: Arc<dyn Clock>,
    /// Ends handshakes at the stop; requests may go on.
    leaving: CancellationToken,
}

/// One client's connection, and what it holds.
struct Guest {
    peer: SocketAddr,
    watcher: Watcher,
    seat: Seat,
}

/// Serves until `stop`, each address within its share, then lets requests in flight end for at most ten seconds. With `tls` nothing else is spoken.
///
/// # Errors
/// The listener is broken for good.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    router: Router,
    clock: Arc<dyn Clock>,
    shares: Shares,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (graceful, guests) = (GracefulShutdown::new(), Guests::new(shares, connections()));
    let leaving = CancellationToken::new();
    let service = Arc::new(Service { builder: builder(), router, tls, clock, leaving: leaving.clone() });
    let mut told = None;
    tokio::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Usually too many open files; some will be closed soon.
                    warn!(%error, "cannot accept a connection: {error}");
                    let clock = &service.clock;
                    clock.sleep_until(clock.monotonic() + PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let Some(seat) = guests.seat(peer.ip()) else {
            let now = service.clock.monotonic();
            if told.is_none_or(|told| now.since(told) >= TOLD_EVERY) {
                warn!(%peer, "{} has all the connections that it may have, further ones are turned away", peer.ip());
                told = Some(now);
            }
            continue;
        };
        // Answers are written whole: the last piece of one must not wait until the client has acknowledged the one before.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "no TCP_NODELAY: {error}");
        }
        let guest = Guest { peer, watcher: graceful.watcher(), seat };
        tokio::spawn(Arc::clone(&service).receive(stream, guest));
    }
    leaving.cancel();
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        warn!("requests in flight did not end within {GRACE:?} and are dropped");
    }
    Ok(())
}

impl Service {
    /// A connection from its first byte to its end. One that has asked for nothing after [`HEAD`] is cut, however it
    /// spends the time: in a handshake, in the beginning of a head, or silently.
    async fn receive(self: Arc<Self>, stream: TcpStream, guest: Guest) {
        let asked = CancellationToken::new();
        let silent = async {
            self.clock.sleep_until(self.clock.monotonic() + HEAD).await;
            if asked.is_cancelled() {
                std::future::pending::<()>().await;
            }
        };
        let Guest { peer, watcher, seat } = guest;
        let served = async {
            match &self.tls {
                None => self.converse(limited(stream), (peer, watcher), &asked).await,
                Some(tls) => {
                    let shaken = self.leaving.run_until_cancelled(secured(stream, tls, self.clock.as_ref()));
                    match shaken.await {
                        Some(Ok(stream)) => self.converse(stream, (peer, watcher), &asked).await,
                        Some(Err(error)) => debug!("no TLS with a client: {error}"),
                        None => {}
                    }
                }
            }
        };
        tokio::select! {
            () = served => {}
            () = silent => debug!("a client that asked for nothing is cut off"),
            () = seat.lost() => debug!(%peer, "a connection ends for an address that has fewer"),
        }
    }

    async fn converse<S>(&self, stream: S, (peer, watcher): (SocketAddr, Watcher), asked: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = asked.clone();
        let service = Extension(ConnectInfo(peer)).layer(self.router.clone());
        let service = service.map_request(move |request: Request<Incoming>| {
            asked.cancel();
            request
        });
        let connection =
            self.builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        if let Err(error) = watcher.watch(connection.into_owned()).await {
            debug!(%error, "a connection ended badly: {error}");
        }
    }
}

/// An event stream has no end; a client that stopped reading must not hold it for ever.
pub(crate) fn limited(stream: TcpStream) -> Pin<Box<TimeoutStream<TcpStream>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STUCK));
    Box::pin(stream)
}

/// As many connections as the system lets this process have beside its other files.
fn connections() -> u32 {
    let files = rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX).saturating_sub(OTHER_FILES).max(1);
    u32::try_from(files).unwrap_or(CONNECTIONS).min(CONNECTIONS)
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let http1 = &mut builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(HEADERS).max_buf_size(HEAD_BYTES);
    let http2 = &mut builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(Some(Duration::from_secs(20)));
    http2.max_header_list_size(HEAD_BYTES as u32).max_concurrent_streams(STREAMS);
    builder
}
