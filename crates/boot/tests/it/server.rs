//! The server of the services: what a head may hold, and that it tells who asks.

use std::{
    future::pending,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, routing::get};
use beacon_domain::SystemClock;
use beacon_testkit::ManualClock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

/// What a server answers to a request with so many more headers of this length.
async fn answer(headers: usize, length: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let who = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string();
    let router = Router::new().route("/", get(who));
    let clock = Arc::new(SystemClock::new());
    let server = tokio::spawn(beacon_boot::serve(
        listener,
        None,
        router,
        clock,
        beacon_boot::Shares::default(),
        pending(),
    ));
    let asked = tokio::task::spawn_blocking(move || {
        let more: String = (0..headers).map(|n| format!("x-{n}: {}\r\n", "v".repeat(length))).collect();
        let mut stream = TcpStream::connect(address).unwrap();
        // The server may hang up before it has read everything.
        let _ = stream.write_all(format!("GET / HTTP/1.1\r\nconnection: close\r\n{more}\r\n").as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    });
    let answer = asked.await.unwrap();
    server.abort();
    answer
}

#[tokio::test]
async fn a_request_is_told_from_where_it_came() {
    let answer = answer(1, 1).await;

    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
}

// A7
#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    assert!(answer(63, 100).await.starts_with("HTTP/1.1 200"));
    for flood in [answer(65, 1).await, answer(2, 32 * 1024).await] {
        assert!(flood.starts_with("HTTP/1.1 431"), "{flood}");
    }
}

// A7: whatever it sends meanwhile.
#[tokio::test]
async fn a_client_that_asks_for_nothing_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clock = ManualClock::new();
    let router = Router::new().route("/", get(async || "here"));
    let serving = beacon_boot::serve(
        listener,
        None,
        router,
        Arc::new(clock.clone()),
        beacon_boot::Shares::default(),
        pending(),
    );
    let server = tokio::spawn(serving);
    let mut ends = JoinSet::new();
    // The beginning of HTTP/2's preface and of a head of HTTP/1, and nothing.
    for beginning in ["PRI * HTTP/2", "GET / HTTP/1.1\r\nx: ", ""] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        // How the end is told is the system's business.
        ends.spawn(async move { stream.read(&mut [0; 1]).await.unwrap_or(0) });
    }

    let passing = async {
        loop {
            clock.advance(Duration::from_secs(5));
            tokio::task::yield_now().await;
        }
    };
    let ends = tokio::select! {
        ends = ends.join_all() => ends,
        () = passing => unreachable!("time passes without end"),
    };

    server.abort();
    assert_eq!(ends, [0, 0, 0]);
}
