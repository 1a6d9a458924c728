//! `beacon-api`: takes signed jobs over HTTP and shows how they stand.

mod serve;

use std::{path::PathBuf, process::ExitCode};

use beacon_boot::{ServiceConfig, start_logs};
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
  1  failed while it ran; the log says why
  2  could not start: a setting, a file, a key or the database cannot be used";

fn main() -> ExitCode {
    let args = Args::parse();
    let config = match ServiceConfig::load(args.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return beacon_boot::refuse("beacon-api", &error.into()),
    };
    if args.print_config {
        return beacon_boot::print_config("beacon-api", &config);
    }
    let _logs = start_logs(&config.log.level, config.log.format);
    beacon_boot::run("beacon-api", serve::start(config))
}
