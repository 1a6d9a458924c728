//! Servers that are none of Beacon's, and answers that lie.

use std::net::SocketAddr;

use beacon_client::{ClientError, Include, ResultsFormat, Unserved};
use beacon_domain::JobId;
use beacon_testkit::ManualClock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::served::{client, while_time_passes};

/// What is written to whoever asks, and how it goes on.
#[derive(Clone, Copy)]
enum Then {
    HangUp,
    Again(&'static str),
    Silence,
}

async fn answering(head: &'static str, then: Then) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(head.as_bytes()).await;
                match then {
                    Then::HangUp => {}
                    Then::Silence => std::future::pending().await,
                    Then::Again(text) => {
                        let text = text.repeat(1 << 14);
                        while stream.write_all(text.as_bytes()).await.is_ok() {}
                    }
                }
            });
        }
    });
    addr
}

fn job() -> JobId {
    "00000000000000000000000000000001".parse().unwrap()
}

async fn check_job(head: &'static str, then: Then, expected: &str) {
    let addr = answering(head, then).await;
    let clock = ManualClock::new();
    let token = "hush-hush-0123456789abcdef0123456789";

    let error = client(addr, Some(token), &clock).job(job(), Include::Nothing).await.unwrap_err();

    let text = error.to_string();
    assert!(text.contains(expected), "{head:?}: {text}");
    assert!(!format!("{text}{error:?}").contains("hush"), "{text}");
    assert!(text.contains("check the URL") || text.contains("ask again") || text.contains("start"), "{text}");
}

const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
const ENDLESS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n[";

#[tokio::test]
async fn an_answer_that_is_not_of_beacon_is_told_as_such() {
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\r\n<h1>!</h1";
    check_job(html, Then::HangUp, "the answer is \"text/html\", not application/json").await;
    let portal = "HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\nlog!";
    check_job(portal, Then::HangUp, "it says 403 Forbidden without Beacon's envelope").await;
    let gateway = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
    check_job(gateway, Then::HangUp, "what stands before it says 502").await;
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://example/\r\ncontent-length: 0\r\n\r\n";
    check_job(moved, Then::HangUp, "a redirect is not followed").await;
    check_job("SSH-2.0-OpenSSH_9.6\r\n", Then::HangUp, "not HTTP").await;
    let shape = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    check_job(shape, Then::HangUp, "JSON has not the shape").await;
}

#[tokio::test]
async fn a_length_that_lies_is_a_broken_answer() {
    let short = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 400\r\n\r\n{}";
    check_job(short, Then::HangUp, "broke before the whole answer").await;
    check_job("", Then::HangUp, "broke before the whole answer").await;
}

#[tokio::test]
async fn an_endless_answer_takes_bounded_memory() {
    check_job(JSON, Then::Again("[1,2,3],"), "is longer than").await;
    check_job(ENDLESS, Then::Again("[1,2,3],"), "is longer than").await;
    check_job("HTTP/1.1 200 OK\r\n", Then::Again("x-more: y\r\n"), "too long").await;
    check_job("HTTP/1.1 500 No\r\n\r\n", Then::Again("<html>"), "is longer than").await;
}

#[tokio::test]
async fn an_endless_event_ends_the_watch() {
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ";
    let addr = answering(stream, Then::Again("for ever and ever ")).await;

    let error = client(addr, None, &ManualClock::new()).watch(job()).next().await.unwrap_err();

    assert!(error.to_string().contains("an event of its stream is longer than"), "{error}");
}

#[tokio::test]
async fn an_export_that_breaks_off_is_an_error_and_no_shorter_file() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n4\r\na,b\n\r\n";
    let addr = answering(cut, Then::HangUp).await;
    let mut written = Vec::new();

    let client = client(addr, None, &ManualClock::new());
    let error = client.results(job(), ResultsFormat::Csv, &mut written).await.unwrap_err();

    assert!(matches!(error, ClientError::Broken { .. }), "{error}");
    assert_eq!(written, b"a,b\n");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let (silent, dripping) = (answering("", Then::Silence).await, answering(JSON, Then::Silence).await);
    let clock = ManualClock::new();

    for addr in [silent, dripping] {
        let client = client(addr, None, &clock);
        let error = while_time_passes(&clock, client.job(job(), Include::Nothing)).await.unwrap_err();
        assert!(error.may_pass() && error.to_string().contains("did not answer within"), "{error}");
    }
}

#[tokio::test]
async fn nobody_there_and_no_tls_are_told_apart() {
    let clock = std::sync::Arc::new(ManualClock::new());
    let addr = answering("HTTP/1.1 400 Bad Request\r\n\r\n", Then::HangUp).await;
    let tls = format!("https://{addr}");
    for (url, expected) in [
        ("http://127.0.0.1:1", "nothing listens there (connection refused); start beacon-api"),
        (tls.as_str(), "it does not speak TLS"),
    ] {
        let options = beacon_client::ClientOptions::new(url.parse().unwrap());
        let client = beacon_client::Client::new(options, clock.clone()).unwrap();
        let error = client.submit("{}", Unserved::Refuse).await.unwrap_err();
        assert!(error.may_pass() && error.to_string().contains(expected), "{url}: {error}");
    }
}
