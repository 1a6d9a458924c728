//! Event streams of a served API: what two thousand of them cost, and that each hears of the end (A4, A7).

use std::{io::Read as _, net::TcpStream, time::Duration};

use beacon_testkit::Cluster;
use beacon_tests::{Deployment, Simulator, root};

use crate::SIX_CELLS;

const STREAMS: usize = 2_000;
/// What one stream may cost the server.
const KIB: f64 = 30.0;

/// Reads a stream until it has this text.
fn until(stream: &mut TcpStream, text: &str) {
    let (mut seen, mut piece) = (String::new(), [0; 4096]);
    while !seen.contains(text) {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the stream ended before {text:?}: {seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn two_thousand_streams_of_one_job_cost_little_and_each_hears_of_its_end() {
    // Two thousand connections end in this process too.
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, "warm = { fixed_s = 0.05 }");
    let deployment = Deployment::new(Cluster::shared(), folder.path(), &simulator.endpoints);
    let api = deployment.start("beacon-api", &[("BEACON__API__CONNECTIONS_PER_ADDRESS", "0")]);
    let job = api.submit(&deployment.sign(&root().join("examples/unsigned/two-questions.json")));
    let open = || {
        let mut stream = api.open(&format!("/api/v1/jobs/{job}/events"));
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        until(&mut stream, "event: snapshot");
        stream
    };
    // The first ones pay for what all share.
    let mut streams: Vec<TcpStream> = (0..50).map(|_| open()).collect();
    let before = api.process.resident_mib();

    streams.extend((0..STREAMS).map(|_| open()));
    let each = (api.process.resident_mib() - before) * 1024.0 / STREAMS as f64;
    let (status, _) = api.ask("POST", &format!("/api/v1/jobs/{job}/cancel"), b"");
    streams.iter_mut().for_each(|stream| until(stream, "event: end"));

    assert_eq!(status, 200);
    println!("{each:.1} KiB for each stream");
    assert!(each <= KIB, "{each:.1} KiB for each stream");
}
