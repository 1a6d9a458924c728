//! Exit codes, as documented in `beacon --help`, and how a command's error is told.

use std::process::ExitCode;

use beacon_boot::told;
use beacon_client::ClientError;
use beacon_scheduler::AcceptError;
use serde_json::json;

use crate::out::{OutputError, line, remark};

/// The process could not start, or what it found could not be printed.
pub(crate) const SYSTEM: u8 = 1;
/// A person's input cannot be used: a file, a spec, a signature, a plan.
pub(crate) const BAD_INPUT: u8 = 2;
/// The job ended, but not every execution completed.
pub(crate) const NOT_ALL_COMPLETED: u8 = 3;
/// The run was stopped before the job ended; the same command resumes it.
pub(crate) const STOPPED: u8 = 4;
/// The database or the server cannot be used now.
pub(crate) const DATABASE: u8 = 5;

/// The code of a finished command; tells the error of a failed one, as an object too if that was asked for.
pub(crate) fn code(result: anyhow::Result<ExitCode>, as_json: bool) -> ExitCode {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    let output = error.chain().find_map(|cause| cause.downcast_ref::<OutputError>());
    if output.is_some_and(OutputError::is_closed_pipe) {
        return ExitCode::SUCCESS;
    }
    let message = told(&error);
    let code = if output.is_some() {
        SYSTEM
    } else if error.chain().any(|cause| is_database(cause) || is_server(cause)) {
        DATABASE
    } else {
        BAD_INPUT
    };
    remark(format_args!("beacon: {message}"));
    if as_json && output.is_none() {
        // Standard error has it already; if standard output is gone, nothing is left to do.
        let _ = line(json!({ "error": { "message": message, "exit_code": code } }));
    }
    ExitCode::from(code)
}

/// The command line itself: help and versions are no error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // If nobody hears it, the exit code is all that is left.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let message = error.to_string();
        let _ = line(json!({ "error": { "message": message.trim(), "exit_code": BAD_INPUT } }));
    }
    ExitCode::from(BAD_INPUT)
}

/// A server that may be well again later; what it refuses is the caller's to change.
fn is_server(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<ClientError>().is_some_and(ClientError::may_pass)
}

fn is_database(cause: &(dyn std::error::Error + 'static)) -> bool {
    use beacon_domain::StoreError::{Occupied, Unavailable};
    // What acceptance hands on tells itself as the store's error, and is another type.
    let of_acceptance = || match cause.downcast_ref()? {
        AcceptError::Store(error) => Some(error),
        _ => None,
    };
    matches!(cause.downcast_ref().or_else(of_acceptance), Some(Occupied(_) | Unavailable { .. }))
}
