//! Deployments of many workers, measured: `cargo xtask bench scale`. Each figure stands beside its bound. An argument picks
//! cases by a part of their name.

use std::{fs, process::ExitCode, time::Instant};

use beacon_testkit::{Cluster, Sync};
use beacon_tests::{Deployment, EIGHT_CELLS, Process, Service, Simulator, TOKEN, between_looks};
use rand::RngExt as _;
use serde_json::{Value, json};

const WORKERS: usize = 8;
const LEASE: (&str, &str) = ("BEACON__WORKER__LEASE_S", "2");

/// What the endpoints are like.
#[derive(Clone, Copy)]
struct Endpoints {
    limit: fn(usize) -> u32,
    /// Of one call per unit of limit: endpoints with more slots answer more slowly, so that all have work for the same time.
    call_s: f64,
}

/// Few calls at once, and each takes its time: 0.2 to 0.8 s, a fraction of what deployed models take.
const MODELS: Endpoints = Endpoints { limit: |n| n as u32 % 4 + 1, call_s: 0.2 };
/// The same, quicker, for many kills in little time.
const QUICK: Endpoints = Endpoints { call_s: 0.02, ..MODELS };
/// Answers at once: what is measured is Beacon.
const INSTANT: Endpoints = Endpoints { limit: |_| 32, call_s: 0.0 };

/// A name, the endpoints, and what is done with them.
type Case = (&'static str, Endpoints, fn(&mut Site<'_>));

/// A place to run in.
struct Site<'a> {
    cluster: &'a Cluster,
    folder: tempfile::TempDir,
    simulator: Simulator,
    deployment: Deployment,
    endpoints: Endpoints,
    /// Whether every bound held.
    good: bool,
}

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let cluster = Cluster::start(Sync::On).unwrap_or_else(|error| panic!("{error}"));
    let mut good = true;
    let cases: [Case; 5] = [
        ("accept", INSTANT, accept),
        ("use", MODELS, full_use),
        ("limits", QUICK, limits_under_kills),
        ("fairness", QUICK, fairness),
        ("million", INSTANT, million),
    ];
    for (name, endpoints, case) in cases.into_iter().filter(|(name, ..)| name.contains(&wanted)) {
        println!("{name}");
        let mut site = site(&cluster, endpoints);
        case(&mut site);
        good &= site.good;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn site(cluster: &Cluster, endpoints: Endpoints) -> Site<'_> {
    let folder = tempfile::tempdir().expect("the machine has a temporary folder");
    let behaviour = |n: usize| {
        let limit = (endpoints.limit)(n);
        let warm = endpoints.call_s * f64::from(limit);
        format!("capacity = {limit}\nwhen_full = \"reject\"\nwarm = {{ fixed_s = {warm:.3} }}")
    };
    let simulator = Simulator::start_each(folder.path(), &EIGHT_CELLS, &behaviour, &endpoints.limit);
    let deployment = Deployment::new(cluster, folder.path(), &simulator.endpoints);
    Site { cluster, folder, simulator, deployment, endpoints, good: true }
}

impl Site<'_> {
    /// Prints a figure beside its bound.
    fn at_most(&mut self, what: &str, value: f64, bound: f64) {
        let held = value <= bound;
        println!("  {what:<64} {value:>12.3}  <= {bound:<10.3} {}", if held { "" } else { "MISSED" });
        self.good &= held;
    }

    /// Prints a figure beside its bound.
    fn at_least(&mut self, what: &str, value: f64, bound: f64) {
        let held = value >= bound;
        println!("  {what:<64} {value:>12.3}  >= {bound:<10.3} {}", if held { "" } else { "MISSED" });
        self.good &= held;
    }

    /// What psql prints on the deployment's database.
    fn sql(&self, sql: &str) -> String {
        self.cluster.sql(self.deployment.database(), sql)
    }

    fn job(&self, name: &str, questions: u32, runs: u32) -> Vec<u8> {
        self.job_by("signer.key", name, questions, runs)
    }

    fn job_by(&self, key: &str, name: &str, questions: u32, runs: u32) -> Vec<u8> {
        let questions: Vec<String> = (0..questions).map(|n| format!("What is {n}?")).collect();
        let job = json!({
            "id": name, "version": "v1", "benchmark": { "name": "scale" }, "questions": questions, "runs": runs,
            "models": ["a", "b", "c", "d"], "constraints": { "regions": ["us-east", "eu-west"] }, "metadata": {},
        });
        let path = self.folder.path().join("job.json");
        fs::write(&path, job.to_string()).expect("the folder is writable");
        self.deployment.sign_by(&path, key)
    }

    /// Makes `name.key`, and trusts it.
    fn add_key(&self, name: &str) {
        let made =
            Process::run(self.folder.path(), &["keygen", "--out", &format!("{name}.key"), "--kid", name]);
        let ring = self.folder.path().join("keys.json");
        let read = |text: &str| serde_json::from_str::<Vec<Value>>(text).expect("a ring is an array");
        let mut keys = read(&fs::read_to_string(&ring).expect("the deployment has a ring"));
        keys.extend(read(&made.stdout));
        fs::write(&ring, json!(keys).to_string()).expect("the folder is writable");
    }

    fn api(&self) -> Service {
        self.deployment.start("beacon-api", &[("BEACON__API__BATCHING", "\"endpoint\"")])
    }

    fn worker(&self) -> Service {
        self.deployment.start("beacon-worker", &[LEASE])
    }

    /// The most calls at once over each endpoint's limit; 0 is right.
    fn above(&self) -> u32 {
        let stats = self.simulator.stats();
        let endpoints = stats["endpoints"].as_object().expect("the simulator counts by endpoint");
        let above = EIGHT_CELLS.iter().enumerate().map(|(n, (model, region))| {
            let seen = endpoints[&format!("{region}/{model}")]["max_in_flight"].as_u64().unwrap_or(u64::MAX);
            u32::try_from(seen).unwrap_or(u32::MAX).saturating_sub((self.endpoints.limit)(n))
        });
        above.max().unwrap_or(0)
    }
}

/// How long acceptance takes, and what it needs.
fn accept(site: &mut Site<'_>) {
    let api = site.api();
    // The first one opens connections and reads catalogues; the middle of many is what a user meets.
    for (questions, runs, times, bound) in [(8, 1, 21, 0.01), (125, 100, 1, 3.0), (1250, 100, 1, 30.0)] {
        let mut took = Vec::new();
        for n in 0..times {
            let bytes = site.job(&format!("accept-{questions}-{n}"), questions, runs);
            let began = Instant::now();
            let (status, answer) = api.ask("POST", "/api/v1/jobs", &bytes);
            took.push(began.elapsed().as_secs_f64());
            assert_eq!(status, 202, "{answer}");
        }
        let first = took[0];
        took.sort_by(f64::total_cmp);
        let executions = questions * runs * 8;
        println!("  {executions} executions: the first of {times} in {first:.3} s");
        site.at_most(&format!("accept {executions} executions, median, s"), took[took.len() / 2], bound);
    }
    site.at_most("peak memory of the API, MiB", api.process.peak_mib(), 200.0);
}

/// 50 jobs of 200 executions: how much of their time the slots of each endpoint have a call, as its worker saw it. One
/// perfect worker would have one in each, from the first call to the last.
fn full_use(site: &mut Site<'_>) {
    const USE: &str =
        "SELECT endpoints.id, max_in_flight, sum(ended - began) / max_in_flight / (max(ended) - min(began))
        FROM (SELECT endpoint, extract(epoch FROM (record::json ->> 'dispatched_at')::timestamptz) AS began,
                extract(epoch FROM (record::json ->> 'finished_at')::timestamptz) AS ended
            FROM beacon.every_attempt JOIN beacon.executions USING (job, n)) AS calls
        JOIN beacon.endpoints ON no = endpoint GROUP BY 1, 2 ORDER BY 2, 1";
    let (api, workers) = (site.api(), (0..WORKERS).map(|_| site.worker()).collect::<Vec<_>>());
    let span = run_all(site, &api, 25, &mut || {});
    println!("  10000 executions, {} workers, span {span:.1} s", workers.len());
    let used = site.sql(USE);
    assert_eq!(used.lines().count(), 8, "one line for each endpoint: {used}");
    for line in used.lines() {
        let mut columns = line.split('|');
        let (id, limit) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
        let used = columns.next().and_then(|used| used.parse().ok()).unwrap_or(f64::NAN);
        site.at_least(&format!("use of {id}, {limit} at once"), used, 0.97);
    }
    site.at_most("most calls above a limit", f64::from(site.above()), 0.0);
}

/// The same, and every half second a worker is killed and another one started.
fn limits_under_kills(site: &mut Site<'_>) {
    let api = site.api();
    let mut workers: Vec<_> = (0..WORKERS).map(|_| site.worker()).collect();
    let (mut kills, mut last) = (0_u32, Instant::now());
    let span = {
        let site = &*site;
        run_all(site, &api, 50, &mut || {
            if last.elapsed().as_secs_f64() > 0.5 {
                let victim = rand::rng().random_range(0..workers.len());
                workers.swap_remove(victim).process.kill();
                workers.push(site.worker());
                (kills, last) = (kills + 1, Instant::now());
            }
        })
    };
    println!("  20000 executions, {kills} workers killed, span {span:.1} s");
    site.at_most("most calls above a limit", f64::from(site.above()), 0.0);
    let rejected = site.simulator.count("rejected");
    site.at_most("calls rejected", rejected as f64, 0.0);
}

/// Submits 50 jobs and waits for all; gives the time from the first dispatch to the last end, in seconds.
fn run_all(site: &Site<'_>, api: &Service, questions: u32, between: &mut dyn FnMut()) -> f64 {
    let jobs: Vec<String> =
        (0..50).map(|n| api.submit(&site.job(&format!("job-{n}"), questions, 1))).collect();
    let mut open = jobs.clone();
    while let Some(job) = open.last() {
        let (_, shown) = api.ask("GET", &format!("/api/v1/jobs/{job}"), b"");
        if shown["job"]["ended_at"].is_string() {
            assert_eq!(shown["job"]["counts"]["completed"], questions * 8, "{}", shown["job"]);
            open.pop();
        } else {
            between();
            // Each look sums up the job.
            (0..10).for_each(|_| between_looks());
        }
    }
    let summary = |job: &String| api.ask("GET", &format!("/api/v1/jobs/{job}"), b"").1["job"].clone();
    let all: Vec<Value> = jobs.iter().map(summary).collect();
    let first = all.iter().filter_map(|job| time(job, "started_at")).min();
    let last = all.iter().filter_map(|job| time(job, "ended_at")).max();
    match (first, last) {
        (Some(first), Some(last)) => last.duration_since(first).as_secs_f64(),
        _ => f64::NAN,
    }
}

fn time(job: &Value, name: &str) -> Option<beacon_spec::Timestamp> {
    job[name].as_str().and_then(|text| text.parse().ok())
}

/// A million executions in bounded memory, each as quick as one of two thousand.
fn million(site: &mut Site<'_>) {
    let (api, workers) = (site.api(), [site.worker(), site.worker()]);
    let mut spans = Vec::new();
    for (questions, runs) in [(250_u32, 1), (1250, 100)] {
        let n = questions * runs * 8;
        let before = site.simulator.count("calls");
        let job = api.submit(&site.job(&format!("job-{n}"), questions, runs));
        site.simulator.reaches("calls", before + u64::from(n));
        let ended = api.ended(&job);
        assert_eq!(ended["counts"]["completed"], n, "{ended}");
        let span = match (time(&ended, "started_at"), time(&ended, "ended_at")) {
            (Some(first), Some(last)) => last.duration_since(first).as_secs_f64(),
            _ => f64::NAN,
        };
        println!("  {n} executions in {span:.1} s: {:.0} per second", f64::from(n) / span);
        spans.push(span / f64::from(n));
    }
    site.at_most("time per execution of a million / of 2,000", spans[1] / spans[0], 1.5);
    site.at_most("peak memory of the API, MiB", api.process.peak_mib(), 200.0);
    for worker in &workers {
        site.at_most("peak memory of a worker, MiB", worker.process.peak_mib(), 200.0);
    }
}

/// A small job behind a large one, of another key and of the same, on a busy and on an idle system.
fn fairness(site: &mut Site<'_>) {
    site.add_key("other");
    let (api, _workers) = (site.api(), (0..2).map(|_| site.worker()).collect::<Vec<_>>());
    let small = |site: &Site<'_>, key: &str, name: &str| {
        let job = api.submit(&site.job_by(key, name, 2, 1));
        let began = Instant::now();
        let ended = api.ended(&job);
        assert_eq!(ended["counts"]["completed"], 16, "{ended}");
        began.elapsed().as_secs_f64()
    };
    let idle = small(site, "other.key", "small-idle");
    let large = api.submit(&site.job("large", 125, 100));
    site.simulator.reaches("calls", 200);
    for (key, whose) in [("other.key", "another key"), ("signer.key", "the same key")] {
        let busy = small(site, key, &format!("small-{key}"));
        println!("  16 executions: {idle:.2} s idle, {busy:.2} s behind 100000 of {whose}");
        site.at_most(&format!("behind a job of 100,000 of {whose} / idle"), busy / idle, 2.0);
    }
    let (status, _) = api.ask("POST", &format!("/api/v1/jobs/{large}/cancel"), TOKEN.as_bytes());
    assert_eq!(status, 200);
}
