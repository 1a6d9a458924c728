//! `beacon-migrate`: brings the schema of the shared database up to date, and removes old jobs.

mod export;
mod prune;
mod schema;

use std::{path::PathBuf, process::ExitCode};

use beacon_boot::ServiceConfig;
use clap::{Parser, Subcommand};

/// Changes the schema of a shared PostgreSQL database, one program at a time, and only on purpose: no other program of
/// Beacon does.
#[derive(Debug, Parser)]
#[command(name = "beacon-migrate", version, after_help = EXIT_CODES)]
struct Args {
    /// The configuration, TOML (docs/CONFIG.md); BEACON__SECTION__SETTING variables are over it
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0  done; for verify: the schema is the one of this version
  2  refused or failed; the text says why and what to do";

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply what is not applied yet
    Up,
    /// Take back the last N migrations; their tables and rows are gone
    Down {
        /// How many
        n: u32,
        /// Although there are jobs, which may be deleted by it
        #[arg(long)]
        with_jobs: bool,
    },
    /// Show every migration and where it stands
    Status,
    /// See that the schema is the one of this version; changes nothing
    Verify,
    /// Remove jobs that ended long ago, in small steps
    Prune(prune::Prune),
    /// Print the effective configuration without secrets
    PrintConfig,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let config = match ServiceConfig::load(args.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return beacon_boot::refuse("beacon-migrate", &error.into()),
    };
    if matches!(args.command, Command::PrintConfig) {
        return beacon_boot::print_config("beacon-migrate", &config);
    }
    let _logs = beacon_boot::start_logs("warn", config.log.format);
    // All of it is the start: whatever fails, the exit code says that it was not done.
    beacon_boot::run("beacon-migrate", async move {
        dispatch(&args, &config).await?;
        Ok(async { Ok(()) })
    })
}

async fn dispatch(args: &Args, config: &ServiceConfig) -> anyhow::Result<()> {
    let options = config.database.options("beacon-migrate")?;
    match &args.command {
        Command::Up => schema::up(&options, args.json).await,
        Command::Down { n, with_jobs } => schema::down(&options, *n, *with_jobs, args.json).await,
        Command::Status => schema::status(&options, args.json).await,
        Command::Verify => schema::verify(&options, args.json).await,
        Command::Prune(prune) => prune.run(options, args.json).await,
        Command::PrintConfig => Ok(()),
    }
}
