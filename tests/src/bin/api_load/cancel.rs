//! A cancel of a job with calls in flight: how soon it is answered, and how soon the endpoints see their connections closed.

use std::time::{Duration, Instant};

use beacon_testkit::{Script, ScriptedEndpoint, Step};
use beacon_tests::TOKEN;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::{
    client::Connection,
    figures::{Report, quantile_ms},
    site::{Site, addr},
};

const TIMES: usize = 20;
/// One in each cell.
const IN_FLIGHT: usize = 8;
const EXECUTIONS: u64 = 64;

pub(crate) fn case(site: &mut Site<'_>, report: &mut Report) {
    let (simulator, deployment) = site.deployment("");
    let hangs = Script::new().then_always(Step::Hang);
    let endpoint = site.runtime.block_on(ScriptedEndpoint::start(hangs));
    simulator.lead_through(endpoint.addr());
    let api = site.api(&deployment, "endpoint");
    let _worker = deployment.start("beacon-worker", &[]);
    let (mut replies, mut closed, mut right) = (Vec::new(), Vec::new(), 0_u32);
    for n in 1..=TIMES {
        let job = api.submit(&site.job(&format!("cancel-{n}"), 8));
        let (body, reply, gone) = site.runtime.block_on(async {
            let mut connection = Connection::open(&addr(&api)).await;
            endpoint.wait_for_requests(n * IN_FLIGHT).await;
            let began = Instant::now();
            let answer = connection.send(cancel(&job)).await;
            let reply = began.elapsed();
            endpoint.wait_for_closed(n * IN_FLIGHT).await;
            (answer.body, reply, began.elapsed())
        });
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        let count = |of: &str| {
            let rows = format!(
                "SELECT count(*) FROM beacon.executions JOIN beacon.jobs ON no = job
                WHERE id = '\\x{job}' AND executions.state = 'cancelled' AND {of}"
            );
            site.cluster.sql(deployment.database(), &rows).trim().parse::<u64>().unwrap_or(u64::MAX)
        };
        // A token was given to what was claimed.
        let rows = (count("token = 0"), count("token > 0"));
        let says = |name: &str| told[name].as_u64().unwrap_or(u64::MAX);
        let is_whole = rows.0 + rows.1 == EXECUTIONS && rows.1 == IN_FLIGHT as u64;
        right += u32::from(is_whole && rows == (says("cancelled_waiting"), says("cancelled_in_flight")));
        replies.push(reply);
        closed.push(gone);
    }
    let hello = bare(site);
    replies.sort();
    closed.sort();
    report.seen("bare server: median, ms", quantile_ms(&hello, 0.5));
    report.seen("reply, median of 20, ms", quantile_ms(&replies, 0.5));
    report.at_most("reply, longest of 20, ms", quantile_ms(&replies, 1.0), 100.0);
    report.seen("reply / bare server, median", quantile_ms(&replies, 0.5) / quantile_ms(&hello, 0.5));
    report.seen("all 8 connections closed after, median of 20, ms", quantile_ms(&closed, 0.5));
    report.at_most("all 8 connections closed after, longest of 20, ms", quantile_ms(&closed, 1.0), 1000.0);
    report.exactly("replies of 20 whose counts are those of the rows", f64::from(right), TIMES as f64);
}

fn bare(site: &Site<'_>) -> Vec<Duration> {
    let mut times = site.runtime.block_on(async {
        let mut connection = Connection::open(&site.hello.addr).await;
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let began = Instant::now();
            connection.send(cancel("none")).await;
            times.push(began.elapsed());
        }
        times
    });
    times.sort();
    times
}

fn cancel(job: &str) -> Request<Full<Bytes>> {
    let request = Request::post(format!("/api/v1/jobs/{job}/cancel")).header("host", "bench");
    let request = request.header("authorization", format!("Bearer {TOKEN}"));
    request.body(Full::default()).expect("the request is whole")
}
