//! The API under load: `cargo xtask bench api`. Each figure stands beside its bound, and beside the same of a bare axum
//! server, asked by the same client in the same run. An argument picks cases by a part of their name.

mod cancel;
mod client;
mod events;
mod figures;
mod hello;
mod matrix;
mod receivers;
mod site;
mod submit;
mod used;

use std::process::ExitCode;

use beacon_testkit::{Cluster, Sync};

use figures::Report;
use site::Site;

/// A name, and what is measured.
type Case = (&'static str, fn(&mut Site<'_>, &mut Report));

const CASES: [Case; 4] =
    [("submit", submit::case), ("matrix", matrix::case), ("events", events::case), ("cancel", cancel::case)];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted == hello::NAME {
        hello::serve();
        return ExitCode::SUCCESS;
    }
    // Each stream has a socket here, and one at the server's.
    rlimit::increase_nofile_limit(u64::MAX).expect("the system lets a process have more files");
    let cluster = Cluster::start(Sync::On).unwrap_or_else(|error| panic!("{error}"));
    let mut report = Report::new();
    for (name, case) in CASES.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        report.begin(name);
        case(&mut Site::new(&cluster), &mut report);
    }
    report.write(&beacon_tests::root().join("target/bench/api.json"));
    if report.missed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
