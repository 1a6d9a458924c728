//! Exit codes, as documented in `beacon --help`.

use std::{io::Write as _, process::ExitCode};

/// A person's input cannot be used: a file, a spec, a signature, a plan.
pub(crate) const BAD_INPUT: u8 = 2;
/// The job ended, but not every execution completed.
pub(crate) const NOT_ALL_COMPLETED: u8 = 3;
/// The run was stopped before the job ended; the same command resumes it.
pub(crate) const STOPPED: u8 = 4;
/// The database cannot be used now.
pub(crate) const DATABASE: u8 = 5;

/// The code of a finished command; prints the error of a failed one.
pub(crate) fn code(result: anyhow::Result<ExitCode>) -> ExitCode {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    if error.chain().any(is_closed_pipe) {
        return ExitCode::SUCCESS;
    }
    // If even standard error is gone, the exit code is all that is left.
    let _ = writeln!(std::io::stderr(), "beacon: {error:#}");
    let store =
        error.chain().any(|cause| cause.downcast_ref::<beacon_domain::StoreError>().is_some_and(is_database));
    ExitCode::from(if store { DATABASE } else { BAD_INPUT })
}

fn is_database(error: &beacon_domain::StoreError) -> bool {
    use beacon_domain::StoreError::{Occupied, Unavailable};
    matches!(error, Occupied(_) | Unavailable { .. })
}

fn is_closed_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
