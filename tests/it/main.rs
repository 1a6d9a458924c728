//! Whole runs of the binary: real sockets, a real database file, real signals and `kill -9`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod bad_endpoints;
mod bad_files;
mod cancel;
mod crash_recovery;
mod databases;
mod drain;
mod faults;
mod guests;
mod help;
mod hostile;
mod original_workload;
mod outputs;
mod remote;
mod resume;
mod secured;
mod services;
mod simulate;
mod steering;
mod streams;
mod submit_to_done;
mod traces;
mod webhooks;

use std::path::Path;

use beacon_tests::{Finished, Process, root};

/// The cells of `examples/two-questions.signed.json`: 12 executions over 6 endpoints.
const SIX_CELLS: [(&str, &str); 6] = [
    ("llama3.2-1b", "us-east"),
    ("mistral-7b", "us-east"),
    ("qwen2.5-1.5b", "us-east"),
    ("llama3.2-1b", "eu-west"),
    ("mistral-7b", "eu-west"),
    ("qwen2.5-1.5b", "eu-west"),
];

fn example(name: &str) -> String {
    root().join("examples").join(name).display().to_string()
}

fn run(folder: &Path, args: &[&str]) -> Finished {
    Process::run(folder, args)
}
