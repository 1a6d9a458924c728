//! One accepted connection: HTTP on it, and its end, which a behaviour may turn into a reset.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::Router;
use hyper::service::{Service as _, service_fn};
use hyper_util::{rt::TokioIo, server::conn::auto, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::endpoint::Surroundings;

/// Marks a response in whose place the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndConnection {
    /// By a reset.
    Reset,
    /// In order, as at shutdown.
    Close,
}

/// Serves HTTP/1.1, or HTTP/2 with prior knowledge, until either side is done or the simulator stops.
pub(crate) async fn serve(stream: TcpStream, router: Router, around: Surroundings) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY: {error}");
    }
    let wire = Wire { stream, reset: Arc::default() };
    let reset = Arc::clone(&wire.reset);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let (response, reset) = (router.call(request), Arc::clone(&reset));
        async move {
            let response = match response.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let Some(end) = response.extensions().get::<EndConnection>() else { return Ok(response) };
            reset.fetch_or(*end == EndConnection::Reset, Ordering::Relaxed);
            // An error of the service makes hyper drop the connection, or reset the stream in HTTP/2.
            Err(io::Error::from(io::ErrorKind::ConnectionReset))
        }
    });
    let connection = auto::Builder::new(Tracked(around));
    if let Err(error) = connection.serve_connection(TokioIo::new(wire), service).await {
        tracing::debug!("a simulated connection ended: {error}");
    }
}

/// Runs hyper's tasks, which exist in HTTP/2, under the simulator's shutdown.
#[derive(Clone)]
struct Tracked(Surroundings);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.tasks.spawn(self.0.stop.clone().run_until_cancelled_owned(task));
    }
}

/// A stream that can end with a reset.
struct Wire {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed)
            // Without lingering, closing sends RST in place of FIN.
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "the connection closes without a reset: {error}");
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
