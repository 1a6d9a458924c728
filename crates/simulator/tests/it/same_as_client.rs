//! The backend without sockets ends every call as the real client does over sockets.

use std::{sync::Arc, time::Duration};

use beacon_domain::{Answer, Backend, CallError, Clock as _, EndpointId, ErrorCode};
use beacon_providers::EndpointsFile;
use beacon_simulator::{Behaviour, SimConfig, SimEndpoint, Simulator};
use beacon_testkit::ManualClock;
use serde_json::json;

use crate::{
    latency::{context, request},
    site::{Site, endpoint, seconds},
};

/// Far off: the steps of the clock below must never reach it by themselves.
const DEADLINE_S: f64 = 36_000.0;

/// All of a call's end that decides what follows.
#[derive(Debug, PartialEq)]
enum End {
    Answered { text: String, over_result_url: bool },
    Failed { code: ErrorCode, retry_after: Option<Duration>, surely_not_started: bool },
}

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The answer comes in time.
    Direct,
    /// The answer comes after the window, over a result URL.
    ResultUrl,
    /// In time, over HTTP/2.
    Http2,
}

/// Every behaviour, from the error that lists them.
fn behaviours() -> Vec<Behaviour> {
    let error = serde_json::from_value::<Behaviour>("no such behaviour".into()).unwrap_err().to_string();
    let names: Vec<_> = error.split('`').skip(3).step_by(2).collect();
    assert!(names.len() > 20, "{error}");
    names.iter().map(|name| serde_json::from_value((*name).into()).unwrap()).collect()
}

fn scripted(behaviour: Behaviour, way: Way) -> SimEndpoint {
    let warm_s = if way == Way::ResultUrl { 2.0 } else { 0.0 };
    SimEndpoint { script: vec![behaviour], window_s: 1.0, ..endpoint(warm_s) }
}

/// Calls the backend to the end, moving the clock where only time can end it.
async fn call(
    backend: Arc<dyn Backend>,
    simulator: &Simulator,
    clock: &ManualClock,
    behaviour: Behaviour,
    way: Way,
) -> End {
    let endless = matches!(behaviour, Behaviour::Hang | Behaviour::Slow | Behaviour::RedirectLoop);
    let deadline = clock.monotonic() + seconds(DEADLINE_S);
    let call = tokio::spawn(async move { backend.call(&request("why?"), &context(1, deadline)).await });
    while !call.is_finished() {
        let total = simulator.stats().total;
        if total.executions == 1 && total.in_flight == 0 && endless {
            clock.advance(seconds(DEADLINE_S));
        } else if way == Way::ResultUrl || behaviour == Behaviour::Expired {
            // The client believes that a call is forgotten only after it has asked again.
            clock.advance(seconds(1.0));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    end(call.await.unwrap())
}

fn end(result: Result<Answer, CallError>) -> End {
    match result {
        Ok(answer) => End::Answered { text: answer.text, over_result_url: answer.redirects > 0 },
        Err(error) => End::Failed {
            code: error.code,
            retry_after: error.retry_after,
            surely_not_started: error.surely_not_started,
        },
    }
}

/// The real client of `us-east/m`.
pub(crate) fn client(site: &Site, way: Way) -> Arc<dyn Backend> {
    let url = site.running.endpoint_url(&EndpointId::new("us-east/m")).unwrap();
    let file: EndpointsFile = serde_json::from_value(json!({ "endpoint": [{
        "provider": "modal-web", "model": "m", "region": "us-east", "inference_url": url,
        "http2_prior_knowledge": way == Way::Http2,
    }]}))
    .unwrap();
    beacon_providers::build(&file, &|_| None, Arc::new(site.clock.clone())).unwrap().remove(0)
}

async fn with_client(behaviour: Behaviour, way: Way) -> End {
    let site = Site::with(vec![scripted(behaviour, way)]).await;
    call(client(&site, way), site.running.simulator(), &site.clock, behaviour, way).await
}

async fn without_sockets(behaviour: Behaviour, way: Way) -> End {
    let clock = ManualClock::new();
    let config = SimConfig { seed: 1, endpoints: vec![scripted(behaviour, way)] };
    let simulator = Simulator::new(config, Arc::new(clock.clone())).unwrap();
    call(Arc::new(simulator.backends().remove(0)), &simulator, &clock, behaviour, way).await
}

async fn compare(way: Way) {
    for behaviour in behaviours() {
        let (client, backend) = (with_client(behaviour, way).await, without_sockets(behaviour, way).await);

        assert_eq!(client, backend, "{behaviour:?} {way:?}");
    }
}

#[tokio::test]
async fn calls_end_alike_with_and_without_sockets() {
    compare(Way::Direct).await;
}

#[tokio::test]
async fn calls_over_result_urls_end_alike_with_and_without_sockets() {
    compare(Way::ResultUrl).await;
}

#[tokio::test]
async fn calls_over_http2_end_alike_too() {
    compare(Way::Http2).await;
}

// C5, C7
#[tokio::test]
async fn bad_days_end_in_these_codes() {
    let cases = [
        (Behaviour::Hang, ErrorCode::AttemptTimeout),
        (Behaviour::Slow, ErrorCode::AttemptTimeout),
        (Behaviour::RedirectLoop, ErrorCode::AttemptTimeout),
        (Behaviour::Reset, ErrorCode::ConnectionLost),
        (Behaviour::Truncated, ErrorCode::MalformedAnswer),
        (Behaviour::Html, ErrorCode::MalformedAnswer),
        (Behaviour::Endless, ErrorCode::AnswerTooLarge),
        (Behaviour::RedirectElsewhere, ErrorCode::BadRedirect),
        (Behaviour::Expired, ErrorCode::ResultExpired),
        (Behaviour::Throttle, ErrorCode::Throttled),
        (Behaviour::WrongRegion, ErrorCode::RegionMismatch),
    ];
    for (behaviour, expected) in cases {
        let end = with_client(behaviour, Way::Direct).await;

        assert!(matches!(end, End::Failed { code, .. } if code == expected), "{behaviour:?}: {end:?}");
    }
}
