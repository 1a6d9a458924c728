//! The HTTP server of the services: bounded in connections, in heads and in the time that one may take; it stops gently.

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::{Extension, Router, extract::ConnectInfo};
use beacon_domain::Clock;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_io_timeout::TimeoutStream;
use tower::Layer as _;
use tracing::{debug, warn};

/// Connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 4096;
/// How long a client may take for a request's head.
const HEAD: Duration = Duration::from_secs(10);
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

/// Serves until `stop`, then lets requests in flight end for at most ten seconds.
///
/// # Errors
/// The listener is broken for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    clock: Arc<dyn Clock>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let builder = builder();
    let (graceful, room) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    tokio::pin!(stop);
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&room).acquire_owned() => slot.map_err(io::Error::other)?,
            () = &mut stop => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Usually too many open files; some will be closed soon.
                    warn!(%error, "cannot accept a connection: {error}");
                    clock.sleep_until(clock.monotonic() + PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // Answers are written whole: the last piece of one must not wait until the client has acknowledged the one before.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "no TCP_NODELAY: {error}");
        }
        let service = TowerToHyperService::new(Extension(ConnectInfo(peer)).layer(router.clone()));
        let mut stream = TimeoutStream::new(stream);
        // An event stream has no end; a client that stopped reading must not hold it for ever.
        stream.set_write_timeout(Some(STUCK));
        let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection ended badly: {error}");
            }
            drop(slot);
        });
    }
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        warn!("requests in flight did not end within {GRACE:?} and are dropped");
    }
    Ok(())
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
