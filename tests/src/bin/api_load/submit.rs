//! How many signed jobs of 64 executions are accepted in a second, and what bounds it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;

use crate::{
    client::{Requests, as_fast_as_answered},
    figures::{Report, quantile_ms},
    site::{Site, addr},
    used::Used,
};

const CONNECTIONS: usize = 16;
/// All are signed before the first is sent; about 12 MB.
const JOBS: usize = 6000;
/// The first ones open connections and fill caches.
const WARM_UP: usize = 200;
const EXECUTIONS: usize = 64;

pub(crate) fn case(site: &mut Site<'_>, report: &mut Report) {
    let (_simulator, deployment) = site.deployment("");
    let api = site.api(&deployment, "question");
    let jobs: Vec<Bytes> = (0..WARM_UP + JOBS).map(|n| site.job(&format!("load-{n}"), 8).into()).collect();
    let jobs = Arc::new(jobs);
    let size = jobs[0].len() as f64;
    let posts = |skip: usize| -> Requests {
        let jobs = Arc::clone(&jobs);
        Arc::new(move |n| post(jobs[skip + n].clone()))
    };
    let send = |addr: &str, skip, count, wanted| {
        site.runtime.block_on(as_fast_as_answered(addr, CONNECTIONS, count, wanted, posts(skip)))
    };
    let warm = send(&addr(&api), 0, WARM_UP, StatusCode::ACCEPTED);
    let (flushes, log) = (flushes(site), log_position(site));
    let before = Used::so_far(api.process.id(), site.cluster);

    let seen = send(&addr(&api), WARM_UP, JOBS, StatusCode::ACCEPTED);

    let used = Used::so_far(api.process.id(), site.cluster).since(before);
    let hello = send(&site.hello.addr.clone(), 0, JOBS, StatusCode::OK);
    let count = JOBS as f64;
    let rate = count / seen.span.as_secs_f64();
    report.at_least("jobs of 64 executions accepted per second", rate, 500.0);
    report.seen("bare server, the same bodies, requests per second", count / hello.span.as_secs_f64());
    report.seen("bare server / accepted", count / hello.span.as_secs_f64() / rate);
    report.seen("median, ms", quantile_ms(&seen.latencies, 0.5));
    report.seen("99th percentile, ms", quantile_ms(&seen.latencies, 0.99));
    report.exactly("answers that are no 202", (warm.others + seen.others) as f64, 0.0);
    let all = (WARM_UP + JOBS) as f64;
    report.exactly("jobs in the database", site.number(&deployment, "SELECT count(*) FROM beacon.jobs"), all);
    let rows = site.number(&deployment, "SELECT count(*) FROM beacon.executions");
    report.exactly("executions in the database", rows, all * EXECUTIONS as f64);
    report.seen("bytes of a job", size);
    report.seen("processor time of the API per job, ms", used.api_s * 1000.0 / count);
    report.seen("processor time of PostgreSQL per job, ms", used.postgres_s * 1000.0 / count);
    report.seen("processor time of the client per job, ms", used.client_s * 1000.0 / count);
    let busy = (used.api_s + used.postgres_s + used.client_s) / seen.span.as_secs_f64();
    report.seen("processors busy with the three", busy);
    report.seen("flushes of the log per job", (self::flushes(site) - flushes) / count);
    report.seen("KiB of log per job", (log_position(site) - log) / 1024.0 / count);
}

fn post(job: Bytes) -> Request<Full<Bytes>> {
    let request = Request::post("/api/v1/jobs").header("host", "bench");
    request.header("content-type", "application/json").body(Full::new(job)).expect("the request is whole")
}

/// Of the whole cluster, which serves nobody else.
fn flushes(site: &Site<'_>) -> f64 {
    let printed = site.cluster.sql("postgres", "SELECT wal_sync FROM pg_stat_wal");
    printed.trim().parse().unwrap_or(f64::NAN)
}

fn log_position(site: &Site<'_>) -> f64 {
    let printed = site.cluster.sql("postgres", "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn");
    printed.trim().parse().unwrap_or(f64::NAN)
}
