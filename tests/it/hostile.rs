//! A served API and callers who mean no good, over real sockets and a real database.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Barrier,
    thread,
};

use beacon_testkit::{Cluster, Hostile, Mangler};
use beacon_tests::{Deployment, Service, Simulator, root};
use serde_json::Value;

use crate::SIX_CELLS;

const FREE: [(&str, &str); 2] =
    [("BEACON__API__ADDRESS_RATE_PER_S", "0"), ("BEACON__API__KEY_RATE_PER_S", "0")];

fn deployment(folder: &Path) -> (Simulator, Deployment, Vec<u8>) {
    let simulator = Simulator::start(folder, &SIX_CELLS, "");
    let deployment = Deployment::new(Cluster::shared(), folder, &simulator.endpoints);
    let job = deployment.sign(&root().join("examples/unsigned/two-questions.json"));
    (simulator, deployment, job)
}

fn count(deployment: &Deployment, table: &str) -> String {
    Cluster::shared().sql(deployment.database(), &format!("SELECT count(*) FROM beacon.{table}"))
}

/// A connection that is used again, and opened again when the server has closed it.
struct Caller {
    addr: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Caller {
    fn of(api: &Service) -> Self {
        Self { addr: api.url().trim_start_matches("http://").to_owned(), stream: None }
    }

    /// Sends it; gives status and body. A server may close a connection whose request it did not read to the end, and a
    /// client finds that out with its next one, which it sends again.
    fn post(&mut self, hostile: &Hostile) -> (u16, Value) {
        let again = self.stream.take().and_then(|used| self.send(used, hostile));
        again.unwrap_or_else(|| {
            let fresh = BufReader::new(TcpStream::connect(&self.addr).unwrap());
            self.send(fresh, hostile).expect("a new connection has an answer")
        })
    }

    /// `None`: the connection was closed before an answer began.
    fn send(&mut self, mut stream: BufReader<TcpStream>, hostile: &Hostile) -> Option<(u16, Value)> {
        let labels = hostile.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let (path, labels, length) = (&hostile.path, labels.collect::<String>(), hostile.body.len());
        let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n{labels}\r\n");
        // The server may answer, and hang up, before it has read everything.
        let _ = stream.get_mut().write_all(&[head.as_bytes(), &hostile.body].concat());
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\n") {
            let read = stream.read_line(&mut answer);
            if answer.is_empty() && read.as_ref().map_or(true, |read| *read == 0) {
                return None;
            }
            assert!(read.unwrap() > 0, "half an answer: {answer:?}");
        }
        let head = answer.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        self.stream = Some(stream).filter(|_| !head.contains("connection: close"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

// P4, A2, A7
#[test]
fn ten_thousand_spoilt_submissions_leave_no_row_and_no_growing_process() {
    const SEED: u64 = 7;
    /// What allocators and pools of connections still gain after the first thousands.
    const GROWTH_MIB: f64 = 16.0;
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment, valid) = deployment(folder.path());
    let api = deployment.start("beacon-api", &FREE);
    let (mut mangler, mut caller, mut after_2000) = (Mangler::new(&valid, SEED), Caller::of(&api), f64::NAN);

    for n in 0..10_000 {
        let hostile = mangler.spoil();
        let (status, body) = caller.post(&hostile);
        let how = hostile.how;
        assert!(matches!(status, 400 | 403 | 415), "number {n} of seed {SEED}, {how:?}: {status} {body}");
        assert!(body["error"]["code"].is_string(), "number {n} of seed {SEED}, {how:?}: {body}");
        if n == 2000 {
            after_2000 = api.process.resident_mib();
        }
    }

    let growth = api.process.resident_mib() - after_2000;
    assert!(growth < GROWTH_MIB, "{growth:.1} MiB more after 8,000 more refusals");
    for table in ["jobs", "executions", "nonces", "signature_points", "specs"] {
        assert_eq!(count(&deployment, table), "0", "{table}");
    }
    let _ = api.submit(&valid);
}

// P11
#[test]
fn a_hundred_replays_at_once_over_postgres_make_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, deployment, valid) = deployment(folder.path());
    // Two processes: nothing in the memory of one can be what decides.
    let apis = [deployment.start("beacon-api", &FREE), deployment.start("beacon-api", &FREE)];
    let at_once = Barrier::new(100);

    let mut statuses: Vec<u16> = thread::scope(|scope| {
        let ask = |n: usize| {
            let (api, valid, at_once) = (&apis[n % 2], &valid, &at_once);
            scope.spawn(move || {
                at_once.wait();
                api.ask("POST", "/api/v1/jobs", valid).0
            })
        };
        let threads: Vec<_> = (0..100).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200; 99], vec![202]].concat());
    assert_eq!((count(&deployment, "jobs").as_str(), count(&deployment, "executions").as_str()), ("1", "12"));
}
