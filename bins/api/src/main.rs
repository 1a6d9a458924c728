//! `beacon-api`: takes signed jobs over HTTP and shows how they stand.

mod serve;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

/// Takes signed jobs over HTTP into a shared PostgreSQL database, and shows how they stand. It calls no endpoint; that
/// is the work of `beacon-worker`. Start as many as you like behind a load balancer.
#[derive(Debug, Parser)]
#[command(name = "beacon-api", version, after_help = EXIT_CODES)]
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
  2  could not start: a setting, a file, a key or the database cannot be used, until somebody changes it";

fn main() -> ExitCode {
    let args = Args::parse();
    beacon_boot::run_configured("beacon-api", args.config.as_deref(), args.print_config, serve::start)
}
