//! Callers who mean no good: whatever they send, the right status, one envelope, and nothing that should not be.

use axum::{body::Body, extract::ConnectInfo};
use beacon_domain::{JobFilter, Scope};
use beacon_testkit::{Mangler, SpecBuilder, Spoilt, test_key};
use beacon_web::Rates;
use futures::future::join_all;
use http::Request;
use tower::ServiceExt as _;

use crate::desk::{Answer, Desk, TOKEN};

fn job(name: &str) -> SpecBuilder {
    SpecBuilder::new(name).questions(&["one", "two"]).regions(&["US", "EU"])
}

async fn jobs(desk: &Desk) -> usize {
    desk.view.jobs(JobFilter::default()).await.unwrap().items.len()
}

// P4, P11
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_replays_at_once_make_one_job() {
    for desk in [Desk::new(), Desk::in_a_file()] {
        let signed = desk.signed(&job("replayed"));

        let request = || Request::post("/api/v1/jobs").body(Body::from(signed.clone())).unwrap();
        let tasks: Vec<_> = (0..100).map(|_| tokio::spawn(desk.router().oneshot(request()))).collect();
        let answers = join_all(tasks).await;

        let statuses: Vec<_> =
            answers.into_iter().map(|answer| answer.unwrap().unwrap().status().as_u16()).collect();
        let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
        assert_eq!((count(202), count(200)), (1, 99));
        assert_eq!(jobs(&desk).await, 1);
    }
}

// A7
#[tokio::test]
async fn guessing_tokens_is_bounded_and_neither_a_known_token_nor_another_address_suffers() {
    let rates = Rates { lookups_per_minute: 10, ..Rates::default() };
    let desk = Desk::with(|api| (api.operator, api.rates) = (None, rates));
    let token = desk.token(Scope::Admin).await;
    let ask = async |token: &str, from: [u8; 4]| -> Answer {
        let request =
            Request::get("/api/v1/admin/workers").header("authorization", format!("Bearer {token}"));
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::from((from, 1))));
        desk.send(request).await
    };
    let (here, there) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    assert_eq!(ask(token.reveal(), here).await.status, 200);

    let mut refusals = Vec::new();
    for n in 0..100 {
        // Of the right form, of another, and one that differs in its last digit.
        let near = format!("{}{}", &token.reveal()[..token.reveal().len() - 1], n % 2);
        let guess = [format!("beacon_{n:08x}_{}", "0".repeat(64)), format!("guess {n}"), near];
        let answer = ask(&guess[n % 3], here).await;
        refusals.push((answer.refusal().0, answer.header("retry-after").is_empty()));
    }

    assert_eq!(refusals.iter().filter(|refusal| **refusal == (401, true)).count(), 9);
    assert_eq!(refusals.iter().filter(|refusal| **refusal == (429, false)).count(), 91);
    assert_eq!(ask(token.reveal(), here).await.status, 200, "it is known already");
    assert_eq!(ask("guess", there).await.refusal(), (401, "wrong_token"));
}

// A7
#[tokio::test]
async fn an_address_and_a_key_that_ask_too_often_are_told_when_to_come_again() {
    let rates = Rates { address_per_s: 2, ..Rates::default() };
    let desk = Desk::with(|api| api.rates = rates);
    let by_key = Desk::with(|api| api.rates = Rates { key_per_s: 1, ..Rates::default() });

    let answers = join_all((0..21).map(|_| desk.get("/api/v1/questions"))).await;
    let last = answers.last().unwrap();
    desk.clock.advance(std::time::Duration::from_secs(1));
    let later = desk.get("/api/v1/questions").await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 20);
    assert_eq!((last.refusal(), last.header("retry-after")), ((429, "too_many_requests"), "1"));
    assert_eq!((later.status.as_u16(), desk.get("/health").await.status.as_u16()), (200, 200));
    for n in 0..11 {
        let answer = by_key.post("/api/v1/jobs", by_key.signed(&job(&format!("{n}")))).await;
        assert_eq!(answer.status.as_u16(), if n < 10 { 202 } else { 429 }, "{n}: {}", answer.body);
    }
}

#[tokio::test]
async fn names_that_are_tricks_name_nothing_and_change_nothing() {
    let desk = Desk::new();
    let there = desk.accepted(&job("there")).await.to_string();
    let upper = there.to_uppercase();

    let longer = format!("{there}0");
    let overlong = "a".repeat(8000);
    // Digits of other scripts are digits to some parsers.
    let (arabic, wide) = ("%D9%A1".repeat(32), "%EF%BC%91".repeat(32));
    let (ended, escaped) = (format!("{there}%00"), format!("..%2f..%2fjobs%2f{there}"));
    for id in [
        "..",
        "%2e%2e",
        "%00",
        "%ff",
        "%c0%ae%c0%ae",
        "x",
        "0",
        "-1",
        "%2F",
        "a%20b",
        "'%20OR%201=1--",
        &there[1..],
        &longer,
        &overlong,
        &arabic,
        &wide,
        &ended,
        &escaped,
    ] {
        for what in ["", "/matrix", "/executions", "/events", "/results", "/receipts", "/close", "/explain"] {
            assert_eq!(desk.get(&format!("/api/v1/jobs/{id}{what}")).await.refusal().0, 404, "{id} {what}");
        }
        for what in ["", "/receipt"] {
            let answer = desk.get(&format!("/api/v1/executions/{id}{what}")).await;
            assert_eq!(answer.refusal().0, 404, "{id} {what}");
        }
        for deed in ["cancel", "pause", "resume", "retry-failed"] {
            let answer = desk.ask("POST", &format!("/api/v1/jobs/{id}/{deed}"), TOKEN, "").await;
            assert_eq!(answer.refusal().0, 404, "{id} {deed}");
        }
        let retry = desk.ask("POST", &format!("/api/v1/executions/{id}/retry"), TOKEN, "").await;
        let number = desk.ask("POST", &format!("/api/v1/executions/{there}-0{id}/retry"), TOKEN, "").await;
        assert_eq!((retry.refusal().0, number.refusal().0), (404, 404), "{id}");
        for what in ["keys", "tokens", "quotas", "endpoints"] {
            let answer = desk.ask("DELETE", &format!("/api/v1/admin/{what}/{id}"), TOKEN, "").await;
            assert!([404, 405].contains(&answer.refusal().0), "{what} {id}: {}", answer.body);
        }
    }
    let paused = desk.ask("POST", &format!("/api/v1/jobs/{upper}/pause"), TOKEN, "").await;
    assert_eq!(paused.body["job_id"], there, "hex digits have two cases and one meaning");
}

#[tokio::test]
async fn headers_that_are_sent_twice_or_malformed_sign_nothing() {
    let desk = Desk::new();
    let path = format!("/api/v1/jobs/{}/cancel", desk.accepted(&job("signed")).await);
    let signed = || desk.sign(Request::post(&path), &test_key(), &path, "n");
    let send = async |request: http::request::Builder| desk.send(request.body(Body::empty()).unwrap()).await;

    let twice = send(signed().header("signature", "beacon=:AAAA:")).await;
    let alone = send(Request::post(&path).header("signature", "beacon=:AAAA:")).await;
    let odd = Request::post(&path).header("signature-input", "beacon=()").header("signature", "x");

    assert_eq!(twice.refusal(), (401, "missing_field:signature"));
    assert_eq!(alone.refusal(), (401, "missing_field:signature-input"));
    assert_eq!(send(odd).await.refusal(), (400, "invalid_field:signature-input"));
    assert_eq!(send(signed()).await.body["state"], "cancelled", "the refused ones left the nonce unused");
}

// P4: whatever differs from what was signed, by more than its spelling, is refused.
#[tokio::test]
async fn ten_thousand_spoilt_submissions_are_refused_in_the_one_envelope() {
    const SEED: u64 = 42;
    let desk = Desk::with(|api| api.rates = Rates { address_per_s: 0, ..Rates::default() });
    let valid = desk.signed(&job("fuzzed"));
    let mut mangler = Mangler::new(&valid, SEED);

    for n in 0..10_000 {
        let hostile = mangler.spoil();
        let request = Request::post(&hostile.path);
        let request =
            hostile.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let answer = desk.send(request.body(Body::from(hostile.body.clone())).unwrap()).await;
        let (status, code) = answer.refusal();
        let expected: &[u16] = match hostile.how {
            Spoilt::Mislabelled => &[400, 415],
            Spoilt::Contradicted | Spoilt::Asked => &[400],
            _ => &[400, 403],
        };
        let shown = String::from_utf8_lossy(&hostile.body[..hostile.body.len().min(2000)]).into_owned();
        let how = hostile.how;
        assert!(expected.contains(&status), "number {n} of seed {SEED}, {how:?}: {status} {code}: {shown}");
    }

    assert_eq!(jobs(&desk).await, 0);
    assert_eq!(desk.post("/api/v1/jobs", valid).await.status, 202, "the nonce was not used up");
}
