//! `test`: all tests of the workspace by plain `cargo test`, with one line at the end that counts them.

use std::{
    fmt,
    io::{BufRead, BufReader, Write, stdout},
    process::{ExitCode, ExitStatus, Stdio},
};

use anyhow::Context;
use clap::Args;

use crate::{contract, needs, root};

/// What `test` takes.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Install what is missing (Debian, as root). With `CI=true` this is the default.
    #[arg(long)]
    install: bool,
    /// Ask the served API what its OpenAPI document promises, with schemathesis, in place of the tests. Needs Python.
    #[arg(long, conflicts_with = "cargo")]
    contract: bool,
    /// Passed on to `cargo test`, such as a test's name.
    #[arg(last = true)]
    cargo: Vec<String>,
}

/// How a run of all test binaries went.
#[derive(Debug)]
pub(crate) struct Tests {
    /// Summed over the test binaries.
    pub(crate) counts: Counts,
    status: ExitStatus,
}

/// Tests that passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: u32,
    failed: u32,
}

/// Runs the tests; the last line printed is the count.
///
/// # Errors
/// A need is missing, or cargo could not be started.
pub(crate) fn report(arguments: &TestArguments) -> anyhow::Result<ExitCode> {
    if arguments.contract {
        return contract::report();
    }
    needs::ensure(if arguments.install { needs::Install::Asked } else { needs::Install::InCi })?;
    let tests = run(&arguments.cargo)?;
    println!("{}", tests.counts);
    Ok(if tests.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests, their output passed through as it comes.
///
/// # Errors
/// Cargo could not be started, or its output could not be passed on.
pub(crate) fn run(more: &[String]) -> anyhow::Result<Tests> {
    let mut command = root::cargo();
    // Without --no-fail-fast cargo stops at the first failing binary, and the count would be of a part.
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]).args(more).stdout(Stdio::piped());
    let mut cargo = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let output = cargo.stdout.take().context("cargo's output is not piped")?;
    let counts = pass_through(BufReader::new(output), &mut stdout())?;
    let status = cargo.wait().context("cannot wait for cargo")?;
    if !status.success() && counts.failed == 0 {
        eprintln!("cargo test failed before or outside a test ({status}); see above");
    }
    Ok(Tests { counts, status })
}

fn pass_through(mut from: impl BufRead, to: &mut impl Write) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).context("cannot read the output of cargo test")? > 0 {
        to.write_all(&line).and_then(|()| to.flush()).context("cannot pass on the output of cargo test")?;
        counts.add(Counts::of_result_line(&String::from_utf8_lossy(&line)));
        line.clear();
    }
    Ok(counts)
}

impl Tests {
    /// Whether everything was built, ran and passed.
    pub(crate) fn passed(&self) -> bool {
        self.status.success()
    }
}

impl Counts {
    /// Reads `test result: ok. 3 passed; 0 failed; …`; nothing for any other line.
    fn of_result_line(line: &str) -> Self {
        let Some(result) = line.strip_prefix("test result: ") else { return Self::default() };
        Self { passed: number_before(result, " passed"), failed: number_before(result, " failed") }
    }

    fn add(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
    }
}

fn number_before(text: &str, word: &str) -> u32 {
    let number = text.split(word).next().and_then(|before| before.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, pass_through};

    fn check(line: &str, passed: u32, failed: u32) {
        assert_eq!(Counts::of_result_line(line), Counts { passed, failed }, "{line:?}");
    }

    #[test]
    fn a_result_line_is_counted_and_no_other() {
        check(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            12,
            0,
        );
        check("test result: FAILED. 3 passed; 2 failed; 0 ignored", 3, 2);
        check("test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 7 passed; 0 failed; 0 ignored", 7, 0);
        check("test a ... ok", 0, 0);
        check("it said: test result: ok. 9 passed; 9 failed", 0, 0);
        check("test result: ok.", 0, 0);
    }

    #[test]
    fn output_passes_through_unchanged_and_results_are_summed() {
        let output = b"running 1 test\n\xff\ntest result: ok. 1 passed; 0 failed;\ntest result: FAILED. 1 passed; 1 failed;";
        let mut seen = Vec::new();

        let counts = pass_through(&output[..], &mut seen).unwrap();

        assert_eq!(seen, output);
        assert_eq!(counts.to_string(), "2 passed, 1 failed");
    }
}
