//! The simulator behind a socket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use beacon_domain::{Clock, EndpointId};
use tokio::net::TcpListener;

use crate::{config::SimConfig, connection, routes::routes, simulator::Simulator, stats::SimStats};

/// A running server. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    simulator: Arc<Simulator>,
}

/// Serves the endpoints on this listener until [`Running::shutdown`].
///
/// # Errors
/// The configuration cannot be simulated (`InvalidInput`), or the listener has no address.
pub async fn serve(config: SimConfig, listener: TcpListener, clock: Arc<dyn Clock>) -> io::Result<Running> {
    let simulator =
        Simulator::new(config, clock).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let running = Running { addr: listener.local_addr()?, simulator: Arc::new(simulator) };
    let router = routes(Arc::clone(&running.simulator));
    let around = running.simulator.around.clone();
    let accepting = accept(listener, router, Arc::clone(&running.simulator));
    around.tasks.spawn(async move { around.stop.run_until_cancelled_owned(accepting).await });
    Ok(running)
}

/// Like [`serve`], on a new listener at this address; port 0 picks a free one.
///
/// # Errors
/// As [`serve`], or the address cannot be bound.
pub async fn serve_at(config: SimConfig, addr: SocketAddr, clock: Arc<dyn Clock>) -> io::Result<Running> {
    serve(config, TcpListener::bind(addr).await?, clock).await
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The inference address of an endpoint, with a final `/`; append `health`, `models` or `v1/chat/completions`.
    #[must_use]
    pub fn endpoint_url(&self, id: &EndpointId) -> Option<String> {
        Some(format!("http://{}/e/{}/", self.addr, self.simulator.slug_of(id)?))
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> SimStats {
        self.simulator.stats()
    }

    /// The endpoints behind the socket.
    #[must_use]
    pub const fn simulator(&self) -> &Arc<Simulator> {
        &self.simulator
    }

    /// Closes the listener and all connections, drops all work, and returns when that is done.
    pub async fn shutdown(&self) {
        self.simulator.shutdown().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.simulator.around.stop.cancel();
    }
}

async fn accept(listener: TcpListener, router: Router, simulator: Arc<Simulator>) {
    let around = &simulator.around;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = connection::serve(stream, router.clone(), around.clone());
                around.tasks.spawn(around.stop.clone().run_until_cancelled_owned(connection));
            }
            Err(error) => {
                // Usually too many open files; some will be closed soon.
                tracing::warn!(%error, "the simulator cannot accept a connection: {error}");
                around.clock.sleep_until(around.clock.monotonic() + Duration::from_millis(50)).await;
            }
        }
    }
}
