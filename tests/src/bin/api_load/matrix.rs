//! How long the whole grid of a job takes, at a pace that does not wait for answers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;

use crate::{
    client::{Connection, Outcome, Requests, at_a_pace},
    figures::{Report, quantile_ms},
    site::{Site, addr},
    used::Used,
};

const CONNECTIONS: usize = 32;
/// 200 a second.
const PACE: Duration = Duration::from_millis(5);
/// 20 seconds.
const COUNT: usize = 4000;
const WARM_UP: usize = 400;

pub(crate) fn case(site: &mut Site<'_>, report: &mut Report) {
    let (_simulator, deployment) = site.deployment("warm = { fixed_s = 0.0 }");
    let api = site.api(&deployment, "question");
    let worker = deployment.start("beacon-worker", &[]);
    let job = api.submit(&site.job("grid", 25));
    let ended = api.ended(&job);
    report.exactly("cells of the job", ended["counts"]["completed"].as_f64().unwrap_or(f64::NAN), 200.0);
    drop(worker);
    let (path, api_addr) = (format!("/api/v1/jobs/{job}/matrix"), addr(&api));
    let first = site.runtime.block_on(async {
        let mut connection = Connection::open(&api_addr).await;
        connection.send(get(&path, None)).await
    });
    let tag = first.headers["etag"].to_str().expect("a tag is text").to_owned();
    report.seen("KiB of the answer", first.body.len() as f64 / 1024.0);
    let run = |addr: &str, count, wanted, tag: Option<&str>| -> Outcome {
        let (path, tag) = (path.clone(), tag.map(str::to_owned));
        let requests: Requests = Arc::new(move |_| get(&path, tag.as_deref()));
        site.runtime.block_on(at_a_pace(addr, (PACE, CONNECTIONS), count, wanted, requests))
    };
    run(&api_addr, WARM_UP, StatusCode::OK, None);

    let hello = run(&site.hello.addr, COUNT, StatusCode::OK, None);
    let before = Used::so_far(api.process.id(), site.cluster);
    let whole = run(&api_addr, COUNT, StatusCode::OK, None);
    let used = Used::so_far(api.process.id(), site.cluster).since(before);
    let tagged = run(&api_addr, COUNT, StatusCode::NOT_MODIFIED, Some(&tag));

    let of = |outcome: &Outcome, part| quantile_ms(&outcome.latencies, part);
    report.seen("bare server at the same pace: median, ms", of(&hello, 0.5));
    report.seen("bare server at the same pace: 99th percentile, ms", of(&hello, 0.99));
    report.seen("200 cells: median, ms", of(&whole, 0.5));
    report.at_most("200 cells: 99th percentile, ms", of(&whole, 0.99), 10.0);
    report.seen("200 cells / bare server, 99th percentile", of(&whole, 0.99) / of(&hello, 0.99));
    report.seen("200 cells: slowest, ms", of(&whole, 1.0));
    report.seen("unchanged, by ETag: median, ms", of(&tagged, 0.5));
    report.at_most("unchanged, by ETag: 99th percentile, ms", of(&tagged, 0.99), 10.0);
    let others = hello.others + whole.others + tagged.others;
    report.exactly("answers by another status", others as f64, 0.0);
    let count = COUNT as f64;
    report.seen("processor time of the API per answer, ms", used.api_s * 1000.0 / count);
    report.seen("processor time of PostgreSQL per answer, ms", used.postgres_s * 1000.0 / count);
}

fn get(path: &str, tag: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::get(path).header("host", "bench");
    if let Some(tag) = tag {
        request = request.header("if-none-match", tag);
    }
    request.body(Full::default()).expect("the request is whole")
}
