//! How fast the queue in PostgreSQL is, beside the bare statements in the same run: `cargo run --release -p beacon-store
//! --example queue_ceiling`. It starts a private cluster with fsync on. Arguments pick cases by a part of their name;
//! `peers` is only run by its name.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says so")]

mod bare;
mod bloat;
mod cluster;
mod depth;
mod load;
mod noop;
mod peers;
mod pinned;
mod wal;

use std::time::Duration;

use beacon_testkit::{Cluster, Sync};

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
    let cluster = Cluster::start(Sync::On).unwrap();
    println!("{:<28} {:>10}  figures", "case", "per second");
    if runs("load") {
        load::report(&cluster).await;
    }
    for workers in [1, 4, 16] {
        if runs("noop") {
            bare::report(&cluster, workers).await;
            noop::report(&cluster, workers, 1).await;
            noop::report(&cluster, workers, 8).await;
        }
    }
    if runs("wal") {
        wal::report(&cluster).await;
    }
    if wanted.iter().any(|name| name == "peers") {
        peers::report(&cluster);
    }
    if runs("depth") {
        depth::report(&cluster).await;
    }
    if runs("bloat") {
        bloat::report(&cluster).await;
    }
    // "pinned-long" holds the snapshot for ten minutes, "pinned-300" for five.
    if wanted.iter().any(|name| name == "pinned-300") {
        pinned::report(&cluster, Duration::from_secs(300)).await;
    } else if wanted.iter().any(|name| name == "pinned-long") {
        pinned::report(&cluster, Duration::from_secs(600)).await;
    } else if runs("pinned") {
        pinned::report(&cluster, Duration::from_secs(60)).await;
    }
}
