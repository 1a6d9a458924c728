//! The command `beacon`: sign, check, plan and run jobs, and read what came of them.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod commands;
mod database;
mod exit;
mod job_file;
mod meant;
mod out;
mod progress;
mod server;
mod simulated;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser as _;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    let _logs = beacon_boot::start_logs(args.log_level(), args.log_format());
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            out::remark(format_args!("beacon: cannot start: {error}"));
            return ExitCode::from(exit::SYSTEM);
        }
    };
    let json = args.json;
    let result = runtime.block_on(dispatch(args));
    // Calls that a second Ctrl-C left behind must not hold the process.
    runtime.shutdown_background();
    exit::code(result, json)
}

async fn dispatch(args: Args) -> anyhow::Result<ExitCode> {
    let json = args.json;
    match args.command {
        Command::Keygen(command) => commands::keys::keygen(&command, json),
        Command::Sign(command) => commands::keys::sign(&command, json),
        Command::SignRequest(command) => commands::sign_request::run(&command, json),
        Command::Verify(command) => commands::verify::verify(&command, json),
        Command::Schema => commands::keys::schema(),
        Command::Plan(command) => commands::plan::plan(&command, json),
        Command::Run(command) => commands::run::run(command, json).await,
        Command::Retry(command) => commands::retry::retry(command, json).await,
        Command::Submit(command) => commands::submit::submit(&command, json).await,
        Command::Watch(command) => commands::watch::watch(&command, json).await,
        Command::Smoke(command) => commands::smoke::smoke(&command, json).await,
        Command::Check(command) => commands::check::check(&command, json).await,
        Command::Simulate(command) => commands::simulate::simulate(&command, json).await,
        Command::Jobs(command) => commands::jobs::jobs(&command, json).await,
        Command::Show(command) => commands::jobs::show(&command, json).await,
        Command::Pause(command) => commands::steer::pause(&command, json).await,
        Command::Resume(command) => commands::steer::resume(&command, json).await,
        Command::Cancel(command) => commands::jobs::cancel(&command, json).await,
        Command::Results(command) => commands::results::results(&command, json).await,
        Command::Receipts(command) => commands::results::receipts(&command).await,
        Command::RunnerKey(command) => commands::keys::runner_key(&command, json),
        Command::Completions(command) => commands::keys::completions(&command),
    }
}
