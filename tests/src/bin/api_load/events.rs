//! Two thousand event streams on one job: how late the last of them hears of what a worker did, what a stream takes, and
//! whether some that do not read delay the others.

use std::time::Duration;

use beacon_tests::{Deployment, Process, Service};
use tokio::net::TcpStream;

use crate::{
    client::Connection,
    figures::Report,
    receivers::{Receivers, deaf, kept},
    site::{Site, addr},
};

const STREAMS: usize = 2000;
const DEAF: usize = 50;
/// 80 questions in 8 cells, of a quarter of a second each: 20 seconds.
const QUESTIONS: u32 = 80;
const EXECUTIONS: usize = 640;
const BEHAVIOUR: &str = "warm = { exponential = { mean_s = 0.25 } }";

/// What one job with its streams gave.
struct Round {
    /// From the end of a call, as its worker saw it, until the last stream heard of it; sorted.
    late: Vec<Duration>,
    /// How many of 640 executions all streams heard of.
    heard_by_all: usize,
    events: u32,
    kib_per_stream: f64,
    /// Events sent to the streams that do not read.
    unread: Vec<usize>,
}

pub(crate) fn case(site: &mut Site<'_>, report: &mut Report) {
    let (_simulator, deployment) = site.deployment(BEHAVIOUR);
    let api = site.api(&deployment, "endpoint");
    let bare = bare_connections(site);

    let reading = round(site, &deployment, &api, "reading", 0);
    let delayed = round(site, &deployment, &api, "delayed", DEAF);

    report.at_most("KiB of the API's memory per stream", reading.kib_per_stream, 30.0);
    report.seen("KiB of the bare server's memory per idle connection", bare);
    report.seen("memory per stream / bare connection", reading.kib_per_stream / bare);
    tell(report, "all read", &reading, STREAMS);
    tell(report, "50 do not", &delayed, STREAMS - DEAF);
    let ratio = median(&delayed.late) / median(&reading.late);
    report.at_most("50 do not / all read, median", ratio, 1.25);
    let most = delayed.unread.iter().max().copied().unwrap_or(0);
    report.seen("most events sent to one that does not read", most as f64);
    report.seen("peak memory of the API, MiB", api.process.peak_mib());
}

fn tell(report: &mut Report, which: &str, round: &Round, streams: usize) {
    report.exactly(
        &format!("{which}: executions that all {streams} heard of"),
        round.heard_by_all as f64,
        EXECUTIONS as f64,
    );
    let worst = round.late.last().map_or(f64::NAN, Duration::as_secs_f64);
    report.at_most(&format!("{which}: from a call's end to the last stream, worst, s"), worst, 1.0);
    report.seen(&format!("{which}: the same, median, s"), median(&round.late));
    report.seen(&format!("{which}: events per stream"), f64::from(round.events) / streams as f64);
}

fn median(sorted: &[Duration]) -> f64 {
    sorted.get(sorted.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

fn round(site: &Site<'_>, deployment: &Deployment, api: &Service, name: &str, not_reading: usize) -> Round {
    let job = api.submit(&site.job(name, QUESTIONS));
    let (path, addr) = (format!("/api/v1/jobs/{job}/events"), addr(api));
    // Somebody watches already: what a job takes is no part of what a stream takes.
    let first = site.runtime.block_on(deaf(&addr, &path, 1));
    let before = resident_kib(&api.process);
    let unread: Vec<TcpStream> = site.runtime.block_on(deaf(&addr, &path, not_reading));
    let receivers = site.runtime.block_on(Receivers::open(&addr, &path, STREAMS - not_reading, EXECUTIONS));
    let kib_per_stream = (resident_kib(&api.process) - before) / STREAMS as f64;
    // It begins now that everybody watches.
    let worker = deployment.start("beacon-worker", &[]);
    let seen = site.runtime.block_on(receivers.ended());
    drop((worker, first));
    let ends = ends(site, deployment, &job);
    assert_eq!(ends.len(), EXECUTIONS, "each execution was called once");
    let streams = u32::try_from(STREAMS - not_reading).expect("there are few streams");
    let (mut late, mut heard_by_all) = (Vec::new(), 0);
    for (n, end) in (1..).zip(ends) {
        let (heard, last) = seen.of(n);
        heard_by_all += usize::from(heard == streams);
        late.push(Duration::from_micros(u64::try_from(last - end).unwrap_or(0)));
    }
    late.sort();
    let unread = site.runtime.block_on(async {
        let mut events = Vec::new();
        for stream in unread {
            events.push(kept(stream).await);
        }
        events
    });
    Round { late, heard_by_all, events: seen.events(), kib_per_stream, unread }
}

/// When calls ended, as their worker saw it, in microseconds since 1970; sorted.
fn ends(site: &Site<'_>, deployment: &Deployment, job: &str) -> Vec<i64> {
    let sql = format!(
        "SELECT (extract(epoch FROM (record::json ->> 'finished_at')::timestamptz) * 1000000)::int8
        FROM beacon.every_attempt JOIN beacon.jobs ON no = job WHERE id = '\\x{job}' ORDER BY 1"
    );
    let printed = site.cluster.sql(deployment.database(), &sql);
    printed.lines().map(|line| line.parse().expect("a time is a number")).collect()
}

/// What the bare server takes for a connection that has asked once and stays open, in KiB.
fn bare_connections(site: &Site<'_>) -> f64 {
    let before = resident_kib(&site.hello.process);
    site.runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..STREAMS {
            let mut connection = Connection::open(&site.hello.addr).await;
            let request = http::Request::get("/").header("host", "bench");
            connection.send(request.body(Default::default()).expect("the request is whole")).await;
            open.push(connection);
        }
        (resident_kib(&site.hello.process) - before) / STREAMS as f64
    })
}

fn resident_kib(process: &Process) -> f64 {
    process.resident_mib() * 1024.0
}
