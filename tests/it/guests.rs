//! A served API whose configuration gives each address few connections.

use std::net::{Ipv4Addr, SocketAddr};

use beacon_testkit::Cluster;
use beacon_tests::{Deployment, Simulator};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::SIX_CELLS;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A connection from this address that was answered and stays open; nothing if the server closed it.
async fn connected(from: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    // Who is turned away may find that out while it writes, or while it reads.
    let _ = stream.write_all(b"GET /health HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"alive\"}") {
        match stream.read_buf(&mut answer).await {
            Ok(read) if read > 0 => {}
            _ => {
                assert!(answer.is_empty(), "half an answer: {}", String::from_utf8_lossy(&answer));
                return None;
            }
        }
    }
    Some(stream)
}

/// The same as soon as there is room: that a connection was closed is seen by its server a moment later.
async fn seated(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    loop {
        if let Some(stream) = connected(from, to).await {
            return stream;
        }
    }
}

// A7
#[tokio::test]
async fn an_address_has_the_connections_of_the_configuration_and_others_are_served_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, "");
    let deployment = Deployment::new(Cluster::shared(), folder.path(), &simulator.endpoints);
    let api = deployment.start("beacon-api", &[("BEACON__API__CONNECTIONS_PER_ADDRESS", "2")]);
    let to = api.url().trim_start_matches("http://").parse().unwrap();

    let held = [seated(HERE, to).await, seated(HERE, to).await];
    for n in 0..20 {
        assert!(connected(HERE, to).await.is_none(), "{n}: its share is used up");
        assert!(connected(ELSEWHERE, to).await.is_some(), "{n}: another address");
    }
    let [first, second] = held;
    drop(first);
    let again = seated(HERE, to).await;

    assert!(connected(HERE, to).await.is_none(), "it is one for one");
    drop((second, again));
}
