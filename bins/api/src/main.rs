//! `beacon-api`: takes signed jobs over HTTP and shows how they stand.

mod serve;
mod token;
mod webhook_secret;

use std::{path::PathBuf, process::ExitCode};

use beacon_boot::ServiceConfig;
use clap::{Parser, Subcommand};

/// Takes signed jobs over HTTP into a shared PostgreSQL database, and shows how they stand. It calls no endpoint; that
/// is the work of `beacon-worker`. Start as many as you like behind a load balancer.
#[derive(Debug, Parser)]
#[command(name = "beacon-api", version, after_help = EXIT_CODES)]
struct Args {
    /// The configuration, TOML (docs/CONFIG.md); BEACON__SECTION__SETTING variables are over it
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// Print the effective configuration without secrets, and end
    #[arg(long)]
    print_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, list and revoke the tokens of this API, beside the running services
    #[command(subcommand)]
    Token(token::Token),
    /// Print the secret under which the webhooks of a key's jobs are signed; give it to their receivers
    WebhookSecret {
        /// The key's id (`kid`) in the ring, or of a key that was added at run time
        key: String,
    },
}

const EXIT_CODES: &str = "Exit codes:
  0  stopped as asked, or the token was made, listed or revoked
  1  failed while it ran, or the database was away at the start for longer than database.patience_s; start it again
  2  could not start: a setting, a file, a key or the database cannot be used, until somebody changes it";

fn main() -> ExitCode {
    let args = Args::parse();
    match args.command {
        Some(command) => run(args.config, command),
        None => {
            beacon_boot::run_configured("beacon-api", args.config.as_deref(), args.print_config, serve::start)
        }
    }
}

fn run(config: Option<PathBuf>, command: Command) -> ExitCode {
    let config = match ServiceConfig::load(config.as_deref()) {
        Ok(config) => config,
        Err(error) => return beacon_boot::refuse("beacon-api", &error.into()),
    };
    let _logs = beacon_boot::start_logs("warn", config.log.format);
    // All of it is the start: whatever fails, the exit code says that it was not done.
    beacon_boot::run("beacon-api", async move {
        match command {
            Command::Token(command) => token::run(&config, command).await?,
            Command::WebhookSecret { key } => webhook_secret::run(&config, &key).await?,
        }
        Ok(async { Ok(()) })
    })
}
