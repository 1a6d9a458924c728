//! What an old snapshot of another session does: dead rows cannot be removed while it is held.

use std::time::Duration;

use beacon_domain::{Clock as _, JobStore as _, Monotonic, SystemClock};
use beacon_testkit::Cluster;

use crate::{
    cluster::{empty, job, plain, store_with},
    noop::{drain_with, stores},
};

/// Done between two looks at the time.
const STEP: u32 = 20_000;
/// Loaded at once; what loading takes does not count.
const LOAD: u32 = 1_000_000;
/// How long the run beside it without an old snapshot lasts at most.
const FREE: Duration = Duration::from_secs(60);
/// Points of the curve.
const POINTS: u32 = 20;

pub(crate) async fn report(cluster: &Cluster, long: Duration) {
    for (held, long) in [(false, long.min(FREE)), (true, long)] {
        let options = empty(cluster).await;
        let store = store_with(&options, LOAD, 1).await;
        let client = plain(&options).await;
        if held {
            client
                .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM beacon.jobs")
                .await
                .unwrap();
        }
        let workers = stores(&options, 4).await;
        let clock = SystemClock::new();
        let (mut waiting, mut loads) = (LOAD, 1);
        let (mut curve, mut done, mut worked_for) = (Vec::new(), 0.0, Duration::ZERO);
        let (mut of_point, mut point_took) = (0.0, Duration::ZERO);
        let began: Monotonic = clock.monotonic();
        while clock.monotonic().since(began) < long {
            if waiting < STEP {
                (waiting, loads) = (waiting + LOAD, loads + 1);
                store.accept(job(&format!("load-{loads}"), LOAD, 1)).await.unwrap();
            }
            let start = clock.monotonic();
            let worked = drain_with(&workers, 1, STEP / 4).await;
            let took = clock.monotonic().since(start);
            waiting -= worked.executions.min(waiting);
            let n = f64::from(worked.executions);
            (done, worked_for) = (done + n, worked_for + took);
            (of_point, point_took) = (of_point + n, point_took + took);
            if point_took > long / POINTS {
                curve.push(of_point / point_took.as_secs_f64());
                (of_point, point_took) = (0.0, Duration::ZERO);
            }
        }
        let shown: Vec<String> = curve.iter().map(|rate| format!("{:.1}", rate / 1e3)).collect();
        let lowest = curve.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "{:<28} {:>10.0}  {} s, {done} executions, lowest {lowest:.0}; thousands per second: {}",
            if held { "pinned snapshot held" } else { "pinned snapshot free" },
            done / worked_for.as_secs_f64(),
            long.as_secs(),
            shown.join(" ")
        );
    }
}
