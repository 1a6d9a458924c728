//! What somebody signed, sent again by somebody else: over real sockets, from addresses of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::body::Body;
use beacon_testkit::{SpecBuilder, test_key};
use beacon_web::{Api, Rates};
use http::{HeaderMap, Request};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::desk::{Answer, Desk};

const OWNER: Ipv4Addr = Ipv4Addr::LOCALHOST;
const THIEF: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A desk that is served on a port.
pub(crate) struct Served {
    desk: Desk,
    to: SocketAddr,
}

impl Served {
    pub(crate) async fn start(change: impl FnOnce(&mut Api)) -> Self {
        let desk = Desk::with(change);
        let listener = TcpListener::bind((OWNER, 0)).await.unwrap();
        let to = listener.local_addr().unwrap();
        let service = desk.router().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async { axum::serve(listener, service).await });
        Self { desk, to }
    }

    /// A new connection from this address, on which this was sent.
    pub(crate) async fn connect(&self, from: Ipv4Addr, bytes: &[u8]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        let mut stream = socket.connect(self.to).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// Posts from this address, on a connection of its own.
    async fn post(&self, from: Ipv4Addr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head =
            format!("POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !headers.iter().any(|(name, _)| *name == "host") {
            head.push_str("host: test.example\r\n");
        }
        let mut stream = self.connect(from, &[head.as_bytes(), b"\r\n", body].concat()).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        parsed(&answer)
    }

    pub(crate) async fn job(&self, from: Ipv4Addr, body: &[u8]) -> Answer {
        self.post(from, "/api/v1/jobs", &[], body).await
    }

    pub(crate) fn signed(&self, name: &str) -> Vec<u8> {
        self.desk.signed(&SpecBuilder::new(name))
    }
}

/// An answer as it came.
pub(crate) fn parsed(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    let bytes = answer[end + 4..].to_vec();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status, headers, bytes, body }
}

/// Ten new jobs of a key at once.
fn by_key() -> Rates {
    Rates { key_per_s: 1, ..Rates::default() }
}

/// What can be made of signed bytes without the key: another spelling, and another id, which is not signed.
fn copies(signed: &[u8], name: &str) -> [(Vec<u8>, u16); 3] {
    let text = String::from_utf8(signed.to_vec()).unwrap();
    let renamed = text.replacen(&format!("\"id\": \"{name}\""), "\"id\": \"stolen\"", 1);
    assert_ne!(renamed, text);
    [(signed.to_vec(), 200), (format!("{text} ").into_bytes(), 409), (renamed.into_bytes(), 409)]
}

// A7
#[tokio::test]
async fn two_hundred_replays_from_one_address_leave_the_key_its_whole_share() {
    let served = Served::start(|api| api.rates = by_key()).await;
    let seen = served.signed("seen");
    assert_eq!(served.job(OWNER, &seen).await.status, 202);

    let copies = copies(&seen, "seen");
    for n in 0..200 {
        let (body, status) = &copies[n % 3];
        let answer = served.job(THIEF, body).await;
        assert_eq!(answer.status.as_u16(), *status, "{n}: {}", answer.body);
    }

    for n in 1..=10 {
        let answer = served.job(OWNER, &served.signed(&format!("new {n}"))).await;
        assert_eq!(answer.status.as_u16(), if n < 10 { 202 } else { 429 }, "{n}: {}", answer.body);
    }
}

// A7
#[tokio::test]
async fn a_replayer_has_the_share_of_its_address_and_no_more() {
    let served =
        Served::start(|api| api.rates = Rates { address_per_s: 5, key_per_s: 1, ..Rates::default() }).await;
    let seen = served.signed("seen");
    assert_eq!(served.job(OWNER, &seen).await.status, 202);

    let mut statuses = Vec::new();
    for _ in 0..200 {
        statuses.push(served.job(THIEF, &seen).await.status.as_u16());
    }

    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(429)), (50, 150));
    assert_eq!(served.job(OWNER, &served.signed("new")).await.status, 202);
}

// A7
#[tokio::test]
async fn replays_from_many_addresses_behind_a_proxy_leave_the_key_its_share() {
    let served = Served::start(|api| {
        api.rates = Rates { address_per_s: 1, key_per_s: 1, ..Rates::default() };
        api.proxies = vec![IpAddr::V4(OWNER)];
    })
    .await;
    let post = async |from: &str, body: &[u8]| {
        served.post(OWNER, "/api/v1/jobs", &[("x-forwarded-for", from)], body).await
    };
    let seen = served.signed("seen");
    assert_eq!(post("198.51.100.1", &seen).await.status, 202);

    for n in 0..200 {
        let answer = post(&format!("203.0.113.{}", n % 100), &seen).await;
        assert_eq!(answer.status, 200, "{n}: {}", answer.body);
    }

    assert_eq!(post("198.51.100.1", &served.signed("new")).await.status, 202);
}

// A7: nor does it matter that they come before the answer to the first one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_that_come_at_once_are_charged_as_one_job() {
    let served = Served::start(|api| api.rates = by_key()).await;
    let new = served.signed("new");

    let answers = futures::future::join_all((0..100).map(|_| served.job(THIEF, &new))).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 99);
    for n in 1..=10 {
        let answer = served.job(OWNER, &served.signed(&format!("own {n}"))).await;
        assert_eq!(answer.status.as_u16(), if n < 10 { 202 } else { 429 }, "{n}: {}", answer.body);
    }
}

// A7: what is refused may be sent again and again, too.
#[tokio::test]
async fn a_job_that_was_refused_costs_its_key_nothing_however_often_it_is_sent() {
    let served = Served::start(|api| api.rates = by_key()).await;
    let quota = beacon_spec::Quota { jobs_per_day: Some(1), ..beacon_spec::Quota::default() };
    let key = beacon_spec::KeyId::new("test").unwrap();
    served.desk.operations.set_quota(key.clone(), Some(quota), served.desk.now()).await.unwrap();
    assert_eq!(served.job(OWNER, &served.signed("first")).await.status, 202);
    let refused = served.signed("second");

    for n in 0..50 {
        assert_eq!(served.job(THIEF, &refused).await.refusal(), (429, "over_quota"), "{n}");
    }

    served.desk.operations.set_quota(key, None, served.desk.now()).await.unwrap();
    assert_eq!(served.job(OWNER, &refused).await.status, 202);
}

// A5, A7
#[tokio::test]
async fn a_copy_takes_no_idempotency_key_of_its_signer() {
    let served = Served::start(|_| {}).await;
    let seen = served.signed("seen");
    assert_eq!(served.job(OWNER, &seen).await.status, 202);
    let keyed = async |from, key: &str, body: &[u8]| {
        served.post(from, "/api/v1/jobs", &[("idempotency-key", key)], body).await
    };

    for (n, (body, status)) in copies(&seen, "seen").iter().enumerate() {
        assert_eq!(keyed(THIEF, "my-1", body).await.status.as_u16(), *status, "{n}");
    }
    let mine = keyed(OWNER, "my-1", &served.signed("new")).await;
    let other = keyed(OWNER, "my-1", &served.signed("another")).await;

    assert_eq!((mine.status.as_u16(), mine.header("idempotency-replayed")), (202, ""));
    assert_eq!(other.refusal(), (422, "idempotency_key_reused"), "it is for one request still");
}

// A7
#[tokio::test]
async fn replays_of_a_signed_request_leave_the_key_its_share() {
    let served = Served::start(|api| api.rates = by_key()).await;
    let job = served.job(OWNER, &served.signed("mine")).await.job_id();
    let path = format!("/api/v1/jobs/{job}/pause");
    let signed = |nonce: &str| {
        let request = served.desk.sign(Request::post(&path), &test_key(), &path, nonce);
        request.body(Body::empty()).unwrap().into_parts().0.headers
    };
    let send = async |from, headers: &HeaderMap| {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        served.post(from, &path, &headers, b"").await
    };
    let seen = signed("n");
    assert_eq!(send(OWNER, &seen).await.status, 200);

    for n in 0..200 {
        assert_eq!(send(THIEF, &seen).await.refusal(), (409, "nonce_replayed"), "{n}");
    }

    // The job and the first request were two of ten.
    for n in 2..=10 {
        let answer = send(OWNER, &signed(&format!("own-{n}"))).await;
        assert_eq!(answer.status.as_u16(), if n < 10 { 200 } else { 429 }, "{n}: {}", answer.body);
    }
}
