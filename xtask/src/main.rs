//! The project's own tasks: `cargo xtask tidy`, `test`, `bench`, `ci`.

mod bench;
mod ci;
mod contract;
mod needs;
mod new_migration;
mod release;
mod root;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check what the compiler does not: imports between crates, sizes, headers, samples, forbidden words.
    Tidy,
    /// See that what the tests need is there, run all tests, and count them.
    Test(test::TestArguments),
    /// Measure a release build and print figures beside their bounds.
    Bench(bench::BenchArguments),
    /// Make the files of the next migration of the PostgreSQL schema.
    NewMigration(new_migration::NewMigration),
    /// Build release archives with checksums and a bill of materials, below target/release-archives.
    Release,
    /// Everything a change must pass: formatting, lints, tidy, docs, tests. Stops at the first failure.
    Ci,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Tidy => tidy::report(&root::workspace()),
        Task::Test(arguments) => test::report(&arguments),
        Task::Bench(arguments) => bench::report(&arguments),
        Task::NewMigration(arguments) => new_migration::report(&arguments),
        Task::Release => release::report(),
        Task::Ci => ci::report(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
