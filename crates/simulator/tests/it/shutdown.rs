//! Shutdown: nothing stays behind.

use std::{io::ErrorKind, sync::Arc};

use beacon_domain::{Clock as _, ErrorCode};
use beacon_simulator::{Behaviour, SimEndpoint};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};

use crate::{
    latency::{context, request},
    same_as_client::{Way, client},
    site::{Site, ask, endpoint, seconds, send},
};

#[tokio::test]
async fn shutdown_ends_work_and_connections_and_frees_the_port() {
    let site = Site::with(vec![endpoint(10.0)]).await;
    let body = ask("why?").to_string();
    let mut held = send(site.addr(), "POST", "/e/us-east~m/", &body).await.unwrap();
    let mut queued = send(site.addr(), "POST", "/e/us-east~m/", &body).await.unwrap();
    let mut idle = TcpStream::connect(site.addr()).await.unwrap();
    site.until(|stats| stats.total.in_flight == 2).await;

    site.running.shutdown().await;

    for stream in [&mut held, &mut queued, &mut idle] {
        assert_eq!(stream.read(&mut [0; 16]).await.map_err(|error| error.kind()), Ok(0), "closed in order");
    }
    assert_eq!(TcpStream::connect(site.addr()).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(TcpListener::bind(site.addr()).await.is_ok());
    assert_eq!((site.total().in_flight, site.total().running), (0, 0));
    assert_eq!(Arc::strong_count(site.running.simulator()), 1, "no task is left");
}

/// A call that hangs, over this HTTP version; shutdown ends it.
async fn check_hanging(way: Way) {
    let site = Site::with(vec![SimEndpoint { script: vec![Behaviour::Hang], ..endpoint(0.0) }]).await;
    let (client, deadline) = (client(&site, way), site.clock.monotonic() + seconds(60.0));
    let call = tokio::spawn(async move { client.call(&request("why?"), &context(1, deadline)).await });
    site.until(|stats| stats.total.executions == 1 && stats.total.in_flight == 0).await;

    site.running.shutdown().await;

    assert_eq!(Arc::strong_count(site.running.simulator()), 1, "no task is left: {way:?}");
    assert_eq!(call.await.unwrap().unwrap_err().code, ErrorCode::ConnectionLost, "{way:?}");
}

#[tokio::test]
async fn shutdown_ends_what_hangs() {
    check_hanging(Way::Direct).await;
    check_hanging(Way::Http2).await;
}
