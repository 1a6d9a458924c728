//! `beacon-worker`: claims executions from the shared database, calls endpoints, records what came of it.

mod options;
mod serving;
mod work;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

/// Calls endpoints for jobs in a shared PostgreSQL database. Start as many as you like, on as many machines: every
/// endpoint's limit holds across all of them. SIGTERM stops it gently, and a killed one loses nothing.
#[derive(Debug, Parser)]
#[command(name = "beacon-worker", version, after_help = EXIT_CODES)]
struct Args {
    /// The configuration, TOML (docs/CONFIG.md); BEACON__SECTION__SETTING variables are over it
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print the effective configuration without secrets, and end
    #[arg(long)]
    print_config: bool,
}

const EXIT_CODES: &str = "Exit codes:
  0  stopped as asked
  1  failed while it ran, or the database was away at the start for longer than database.patience_s; start it again
  2  could not start: a setting, a file, a key, an endpoint or the database cannot be used, until somebody changes it";

fn main() -> ExitCode {
    let args = Args::parse();
    beacon_boot::run_configured("beacon-worker", args.config.as_deref(), args.print_config, work::start)
}
