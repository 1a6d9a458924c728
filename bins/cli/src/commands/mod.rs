//! One file per group of commands.

pub(crate) mod check;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod plan;
pub(crate) mod results;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod verify;

use std::io::Write as _;

/// Prints one line to standard output; a closed pipe is an error that ends the command quietly.
pub(crate) fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
