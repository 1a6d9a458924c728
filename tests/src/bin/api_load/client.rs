//! A client that keeps its connections: as many as it is told, each with one request at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Makes the request of a number.
pub(crate) type Requests = Arc<dyn Fn(usize) -> Request<Full<Bytes>> + Send + Sync>;

/// A connection to a server.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

/// An answer whose body has been read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What came of many requests.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Sorted, one for each answer.
    pub(crate) latencies: Vec<Duration>,
    /// Answers by another status than the one wanted.
    pub(crate) others: usize,
    /// From the first request to the last answer.
    pub(crate) span: Duration,
}

impl Connection {
    pub(crate) async fn open(addr: &str) -> Self {
        let stream = TcpStream::connect(addr).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket has this option");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("the server speaks HTTP");
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.0.ready().await.expect("the server keeps its connections");
        let answer = self.0.send_request(request).await.expect("the server answers");
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("the server answers to the end").to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }
}

/// Sends so many requests over so many connections, each connection one after the other as fast as answers come.
pub(crate) async fn as_fast_as_answered(
    addr: &str,
    connections: usize,
    count: usize,
    wanted: StatusCode,
    requests: Requests,
) -> Outcome {
    run(addr, connections, count, wanted, requests, None).await
}

/// Sends one request every `pace`, whether or not those before are answered. Latencies count from when a request was due, so
/// that one that waited for a free connection is as late as its caller would have seen it.
pub(crate) async fn at_a_pace(
    addr: &str,
    (pace, connections): (Duration, usize),
    count: usize,
    wanted: StatusCode,
    requests: Requests,
) -> Outcome {
    run(addr, connections, count, wanted, requests, Some(pace)).await
}

async fn run(
    addr: &str,
    connections: usize,
    count: usize,
    wanted: StatusCode,
    requests: Requests,
    pace: Option<Duration>,
) -> Outcome {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(addr).await);
    }
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let tasks = open.into_iter().map(|mut connection| {
        let (next, requests) = (Arc::clone(&next), Arc::clone(&requests));
        tokio::spawn(async move {
            let mut seen = Outcome::default();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return seen;
                }
                let request = requests(n);
                let due = match pace {
                    Some(pace) => began + pace * u32::try_from(n).expect("a case is short"),
                    None => Instant::now(),
                };
                if pace.is_some() {
                    tokio::time::sleep_until(due.into()).await;
                }
                let answer = connection.send(request).await;
                seen.latencies.push(due.elapsed());
                seen.others += usize::from(answer.status != wanted);
            }
        })
    });
    let mut all = Outcome::default();
    for task in tasks.collect::<Vec<_>>() {
        let seen = task.await.expect("a task of the client ends well");
        all.latencies.extend(seen.latencies);
        all.others += seen.others;
    }
    all.span = began.elapsed();
    all.latencies.sort();
    all
}
