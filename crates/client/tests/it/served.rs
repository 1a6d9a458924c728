//! An API on a loopback port, and a client of it whose time is the test's.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use beacon_client::{Client, ClientOptions, Token};
use beacon_testkit::ManualClock;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

/// A served router.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    serving: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(router: Router) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), router).await
    }

    pub(crate) async fn at(addr: SocketAddr, router: Router) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        Self { addr, serving: tokio::spawn(serve(listener, router)) }
    }

    /// Stops listening and cuts all connections, as the death of a process does.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.serving.abort();
        let _ = self.serving.await;
        self.addr
    }
}

async fn serve(listener: TcpListener, router: Router) {
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            // Whoever hangs up is no failure.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A client of what listens there.
pub(crate) fn client(addr: SocketAddr, token: Option<&str>, clock: &ManualClock) -> Client {
    let options = ClientOptions {
        token: token.map(|token| Token::new(token).unwrap()),
        ..ClientOptions::new(format!("http://{addr}").parse().unwrap())
    };
    Client::new(options, Arc::new(clock.clone())).unwrap()
}

/// Lets time go on, little by little, until this is done.
pub(crate) async fn while_time_passes<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::task::yield_now() => clock.advance(Duration::from_millis(2)),
        }
    }
}
