//! Large bodies over real sockets: each is held in memory until it is whole, so only a few may be on their way in (A7).

use std::net::Ipv4Addr;

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::{
    desk::Answer,
    replays::{Served, parsed},
};

/// A body that is large, and never comes.
const HEAD: &[u8] = b"POST /api/v1/jobs HTTP/1.1\r\nhost: test.example\r\nconnection: close\r\n\
    expect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n";
const OF_ONE: usize = 4;
const OF_ALL: usize = 32;

const fn client(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, n as u8 + 1)
}

/// A large body that the server waits for, or its refusal.
async fn large(served: &Served, from: Ipv4Addr) -> Result<TcpStream, Answer> {
    let mut stream = served.connect(from, HEAD).await;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "no answer");
    }
    if answer.starts_with(b"HTTP/1.1 100 ") {
        return Ok(stream);
    }
    stream.read_to_end(&mut answer).await.unwrap();
    Err(parsed(&answer))
}

async fn held(served: &Served, from: Ipv4Addr, n: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..n {
        held.push(large(served, from).await.unwrap_or_else(|refused| panic!("{}", refused.body)));
    }
    held
}

fn is_too_many(refused: &Answer) -> bool {
    assert_eq!(refused.refusal(), (429, "too_many_requests"));
    refused.header("retry-after") == "1"
}

#[tokio::test]
async fn one_address_holds_four_large_bodies_and_its_small_requests_are_served() {
    let served = Served::start(|_| {}).await;

    let mut of_one = held(&served, client(0), OF_ONE).await;
    for _ in 0..10 {
        assert!(is_too_many(&large(&served, client(0)).await.unwrap_err()));
    }
    assert_eq!(served.job(client(0), &served.signed("small")).await.status, 202);
    let of_another = held(&served, client(1), 1).await;
    of_one.pop();
    // That a connection was closed is seen by its server a moment later.
    let again = loop {
        if let Ok(again) = large(&served, client(0)).await {
            break again;
        }
    };

    assert!(is_too_many(&large(&served, client(0)).await.unwrap_err()), "it is one for one");
    drop((of_one, of_another, again));
}

#[tokio::test]
async fn all_together_hold_thirty_two_and_whoever_has_none_gets_one_of_whoever_has_most() {
    let served = Served::start(|_| {}).await;
    let mut of_greedy = Vec::new();
    for n in 0..OF_ALL / OF_ONE {
        of_greedy.extend(held(&served, client(n), OF_ONE).await);
    }

    let mut of_others = Vec::new();
    for n in OF_ALL / OF_ONE..OF_ALL {
        of_others.extend(held(&served, client(n), 1).await);
    }
    let late = client(OF_ALL);

    assert!(is_too_many(&large(&served, late).await.unwrap_err()), "each has one");
    assert_eq!(served.job(late, &served.signed("small")).await.status, 202);
    let lost = of_greedy.iter_mut().map(async |stream| {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        parsed(&answer)
    });
    let mut lost: FuturesUnordered<_> = lost.collect();
    for _ in 0..of_others.len() {
        assert!(is_too_many(&lost.next().await.unwrap()));
    }
}
