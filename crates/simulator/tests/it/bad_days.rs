//! Failures by script and by rate, as bytes on the wire (C7).

use std::io::ErrorKind;

use beacon_simulator::{Behaviour, Failures, SimEndpoint};
use tokio::io::AsyncReadExt as _;

use crate::site::{Site, ask, endpoint, exchange, send};

fn scripted(script: &[Behaviour]) -> SimEndpoint {
    SimEndpoint { script: script.to_vec(), ..endpoint(0.0) }
}

#[tokio::test]
async fn a_script_goes_call_by_call_and_then_the_endpoint_is_well() {
    let script = [Behaviour::Unavailable, Behaviour::Answer, Behaviour::ServerError];
    let site = Site::with(vec![scripted(&script)]).await;

    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(site.post("why?").await.status);
    }

    assert_eq!(statuses, [503, 200, 500, 200, 200]);
}

#[tokio::test]
async fn a_rate_strikes_the_same_calls_with_the_same_seed() {
    let failures = Some(Failures { rate: 0.3, kind: Behaviour::ServerError });
    let mut runs = Vec::new();
    for _ in 0..2 {
        let site = Site::with(vec![SimEndpoint { failures, ..endpoint(0.0) }]).await;
        let mut statuses = Vec::new();
        for _ in 0..200 {
            statuses.push(site.post("why?").await.status);
        }
        runs.push(statuses);
    }

    let failed = runs[0].iter().filter(|status| **status == 500).count();
    assert!((40..80).contains(&failed), "{failed} of 200 at a rate of 0.3");
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn a_rate_of_one_is_for_ever() {
    let failures = Some(Failures { rate: 1.0, kind: Behaviour::Throttle });
    let site = Site::with(vec![SimEndpoint { failures, ..endpoint(0.0) }]).await;

    for _ in 0..20 {
        let reply = site.post("why?").await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
    }
    assert_eq!((site.total().rejected, site.total().executions), (20, 0));
}

/// One call under this behaviour: its status, a part of its text, and whether work was done.
async fn check(behaviour: Behaviour, status: u16, part: &str, executions: u64) {
    let site = Site::with(vec![scripted(&[behaviour])]).await;

    let reply = site.post("why?").await;

    assert_eq!(reply.status, status, "{behaviour:?}");
    assert!(reply.text().contains(part), "{behaviour:?}: {}", reply.text());
    assert_eq!(site.total().executions, executions, "{behaviour:?}");
    assert_eq!(site.total().rejected, 1 - executions, "{behaviour:?}");
}

#[tokio::test]
async fn every_status_and_every_wrong_answer_has_its_form() {
    check(Behaviour::Unauthorized, 401, "modal-http: missing credentials", 0).await;
    check(Behaviour::Stopped, 404, "modal-http: app for invoked web endpoint is stopped", 0).await;
    check(Behaviour::Throttle, 429, "full", 0).await;
    check(Behaviour::SpendLimit, 429, "spend limit", 0).await;
    check(Behaviour::Unavailable, 503, "modal-http:", 0).await;
    check(Behaviour::ServerError, 500, "simulated failure", 1).await;
    check(Behaviour::TimedOut, 500, "function execution timed out", 1).await;
    check(Behaviour::Killed, 500, "terminated by signal", 1).await;
    check(Behaviour::GatewayFailed, 502, "gateway", 1).await;
    check(Behaviour::ErrorIn200, 200, r#""success":false"#, 1).await;
    check(Behaviour::Html, 200, "<!doctype html>", 1).await;
    check(Behaviour::Empty, 200, r#""response":"","#, 1).await;
    check(Behaviour::WrongRegion, 200, r#""region":"eu-west""#, 1).await;
    check(Behaviour::WrongModel, 200, r#""model":"another-model""#, 1).await;
}

#[tokio::test]
async fn a_reset_is_a_reset_and_not_an_orderly_end() {
    let site = Site::with(vec![scripted(&[Behaviour::Reset])]).await;

    let error = exchange(site.addr(), "POST", "/e/us-east~m/", &ask("why?").to_string()).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!((site.total().executions, site.total().in_flight), (1, 0));
}

#[tokio::test]
async fn a_truncated_answer_ends_before_the_length_that_it_promised() {
    let site = Site::with(vec![scripted(&[Behaviour::Truncated])]).await;

    let reply = site.post("why?").await;

    let promised: usize = reply.header("content-length").unwrap().parse().unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, promised / 2));
    assert!(reply.text().starts_with(r#"{"success":true,"#), "{}", reply.text());
}

#[tokio::test]
async fn a_hanging_call_says_nothing_past_every_window_and_holds_no_place() {
    let site = Site::with(vec![scripted(&[Behaviour::Hang])]).await;
    let stream = send(site.addr(), "POST", "/e/us-east~m/", &ask("why?").to_string()).await.unwrap();
    site.until(|stats| stats.total.executions == 1 && stats.total.in_flight == 0).await;

    site.advance(100_000.0);
    let next = site.post("next").await;

    assert_eq!(next.status, 200);
    let read = stream.try_read(&mut [0; 16]).map_err(|error| error.kind());
    assert_eq!(read, Err(ErrorKind::WouldBlock), "open and silent");
}

#[tokio::test]
async fn a_slow_answer_drips_one_blank_a_second() {
    let site = Site::with(vec![scripted(&[Behaviour::Slow])]).await;
    let mut stream = send(site.addr(), "POST", "/e/us-east~m/", &ask("why?").to_string()).await.unwrap();
    let mut read = String::new();

    for blanks in 1..=4 {
        while read.matches("1\r\n \r\n").count() < blanks {
            let mut bytes = [0; 1024];
            let length = stream.read(&mut bytes).await.unwrap();
            assert_ne!(length, 0, "ended after {read:?}");
            read.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
        assert_eq!(read.matches("1\r\n \r\n").count(), blanks, "one at a time");
        site.advance(1.0);
    }

    assert!(read.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/json"), "{read:?}");
}

#[tokio::test]
async fn an_endless_answer_goes_on_for_as_long_as_it_is_read() {
    let site = Site::with(vec![scripted(&[Behaviour::Endless])]).await;
    let mut stream = send(site.addr(), "POST", "/e/us-east~m/", &ask("why?").to_string()).await.unwrap();

    let mut read = 0;
    let mut bytes = vec![0; 64 * 1024];
    while read < 20_000_000 {
        let length = stream.read(&mut bytes).await.unwrap();
        assert_ne!(length, 0, "ended after {read} bytes");
        read += length;
    }
}

#[tokio::test]
async fn early_lost_endless_and_foreign_redirects_are_told() {
    let script =
        [Behaviour::Pending, Behaviour::Expired, Behaviour::RedirectLoop, Behaviour::RedirectElsewhere];
    let site = Site::with(vec![scripted(&script)]).await;

    let pending = site.post("why?").await.location();
    let expired = site.post("why?").await.location();
    let looping = site.post("why?").await.location();
    let foreign = site.post("why?").await.location();

    assert_eq!(site.get(&pending).await.status, 200);
    assert_eq!(site.get(&expired).await.text(), "modal-http: invalid function call");
    for _ in 0..5 {
        assert_eq!(site.get(&looping).await.location(), looping);
    }
    assert!(foreign.starts_with("http://elsewhere.invalid/e/us-east~m/?"), "{foreign}");
    assert_eq!((site.total().executions, site.total().redirects), (4, 9));
}

#[tokio::test]
async fn after_a_broken_connection_the_result_url_has_the_answer() {
    for behaviour in [Behaviour::Reset, Behaviour::Truncated, Behaviour::GatewayFailed] {
        let slow = SimEndpoint { window_s: 1.0, script: vec![behaviour], ..endpoint(2.0) };
        let site = Site::with(vec![slow]).await;
        let call = site.start("why?").await;
        site.advance(1.0);
        let location = call.await.unwrap().location();
        site.advance(1.0);
        site.until(|stats| stats.total.in_flight == 0).await;

        let path = location.replace(&format!("http://{}", site.addr()), "");
        let broken = exchange(site.addr(), "GET", &path, "").await;
        let whole = site.get(&location).await;

        assert!(!broken.is_ok_and(|reply| reply == whole), "{behaviour:?}");
        assert_eq!(whole.json()["success"], true, "{behaviour:?}");
    }
}
