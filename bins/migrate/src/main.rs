//! `beacon-migrate`: brings the schema of the shared database up to date, and removes old jobs.

mod export;
mod prune;
mod schema;

use std::{path::PathBuf, process::ExitCode};

use beacon_boot::ServiceConfig;
use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};

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
    /// Print the effective configuration without secrets, and end
    #[arg(long)]
    print_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str = "Exit codes:
  0  done; for verify: every migration of this version is applied, and none was changed since
  1  the database cannot be reached, or has no room for one more connection; start it again
  2  refused or failed; the text says why and what to do";

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply what is not applied yet
    Up,
    /// Take back the last N migrations; their tables and rows are gone
    Down {
        /// How many
        n: u32,
        /// Although there are jobs, tokens, trusted keys or audit entries, which may be deleted by it
        #[arg(long)]
        with_jobs: bool,
    },
    /// Show every migration and where it stands
    Status,
    /// See that the migrations of this version are applied, unchanged; looks at no table, and changes nothing
    Verify,
    /// Remove jobs that ended long ago, in small steps
    Prune(prune::Prune),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let config = match ServiceConfig::load(args.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return beacon_boot::refuse("beacon-migrate", &error.into()),
    };
    if args.print_config {
        return beacon_boot::print_config("beacon-migrate", &config);
    }
    let Some(command) = args.command else {
        let missing = "say what to do: up, down, status, verify or prune; or --print-config";
        Args::command().error(ErrorKind::MissingSubcommand, missing).exit()
    };
    let _logs = beacon_boot::start_logs("warn", config.log.format);
    // All of it is the start: whatever fails, the exit code says that it was not done.
    beacon_boot::run("beacon-migrate", async move {
        dispatch(&command, args.json, &config).await?;
        Ok(async { Ok(()) })
    })
}

async fn dispatch(command: &Command, as_json: bool, config: &ServiceConfig) -> anyhow::Result<()> {
    let options = config.database.options("beacon-migrate")?;
    match command {
        Command::Up => schema::up(&options, as_json).await,
        Command::Down { n, with_jobs } => schema::down(&options, *n, *with_jobs, as_json).await,
        Command::Status => schema::status(&options, as_json).await,
        Command::Verify => schema::verify(&options, as_json).await,
        Command::Prune(prune) => prune.run(options, as_json).await,
    }
}
