//! `ci`: every check in the order of its price, each with its time; the first failure ends it.

use std::{
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::Context;

use crate::{needs, root, test, tidy};

/// One check; whether it passed.
type Step = fn() -> anyhow::Result<bool>;

/// Runs every step and says how each went.
///
/// # Errors
/// A step could not be started.
pub(crate) fn report() -> anyhow::Result<ExitCode> {
    needs::ensure(needs::Install::InCi)?;
    let steps: [(&str, Step); 4] = [("fmt", fmt), ("clippy", clippy), ("tidy", tidy), ("doc", doc)];
    for (name, step) in steps {
        if !timed(name, step, |passed| *passed)? {
            return Ok(ExitCode::FAILURE);
        }
    }

    let tests = timed("test", || test::run(&[]), test::Tests::passed)?;
    println!("{}", tests.counts);
    Ok(if tests.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn timed<T>(
    name: &str,
    step: impl FnOnce() -> anyhow::Result<T>,
    passed: impl FnOnce(&T) -> bool,
) -> anyhow::Result<T> {
    println!("== {name}");
    let start = Instant::now();
    let result = step()?;
    let verdict = if passed(&result) { "passed" } else { "FAILED" };
    println!("== {name} {verdict} in {:.1} s", start.elapsed().as_secs_f64());
    Ok(result)
}

fn fmt() -> anyhow::Result<bool> {
    succeeds(root::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> anyhow::Result<bool> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    succeeds(root::cargo().args(arguments))
}

fn tidy() -> anyhow::Result<bool> {
    Ok(tidy::report(&root::workspace())? == ExitCode::SUCCESS)
}

fn doc() -> anyhow::Result<bool> {
    let arguments = ["doc", "--workspace", "--no-deps", "--locked"];
    succeeds(root::cargo().args(arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

fn succeeds(command: &mut Command) -> anyhow::Result<bool> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    Ok(status.success())
}
