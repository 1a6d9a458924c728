//! What an old snapshot of another session does: dead rows cannot be removed while it is held.

use beacon_domain::{Clock as _, SystemClock};
use beacon_testkit::Cluster;

use crate::{
    cluster::{empty, plain, store_with},
    noop::drain,
};

/// Done between two looks.
const STEP: u32 = 20_000;
const STEPS: u32 = 12;

pub(crate) async fn report(cluster: &Cluster) {
    for held in [false, true] {
        let options = empty(cluster).await;
        let _store = store_with(&options, STEP * STEPS, 1).await;
        let client = plain(&options).await;
        if held {
            client
                .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM beacon.jobs")
                .await
                .unwrap();
        }
        let clock = SystemClock::new();
        let mut curve = Vec::new();
        for _ in 0..STEPS {
            let start = clock.monotonic();
            let worked = drain(&options, 4, 1, STEP / 4).await;
            curve.push(f64::from(worked.executions) / clock.monotonic().since(start).as_secs_f64());
        }
        let shown: Vec<String> = curve.iter().map(|rate| format!("{:.1}", rate / 1e3)).collect();
        let name = if held { "pinned snapshot held" } else { "pinned snapshot free" };
        let sum: f64 = curve.iter().map(|rate| f64::from(STEP) / rate).sum();
        println!(
            "{name:<28} {:>10.0}  thousands per second, in steps of {STEP}: {}",
            f64::from(STEP * STEPS) / sum,
            shown.join(" ")
        );
    }
}
