//! Up, down, status, verify.

use std::io::Write as _;

use beacon_store::{
    PostgresOptions,
    migrate::{Migration, Migrator, State},
};
use serde_json::{Value, json};

/// Prints one line.
pub(crate) fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// Applies what is missing.
pub(crate) async fn up(options: &PostgresOptions, as_json: bool) -> anyhow::Result<()> {
    let done = Migrator::connect(options).await?.up().await?;
    tell("applied", &done, as_json)
}

/// Takes back the last ones, but no jobs that nobody has spoken of.
pub(crate) async fn down(
    options: &PostgresOptions,
    n: u32,
    with_jobs: bool,
    as_json: bool,
) -> anyhow::Result<()> {
    let mut migrator = Migrator::connect(options).await?;
    let kept @ [jobs, tokens, keys, entries] = migrator.kept().await?;
    anyhow::ensure!(
        kept == [0; 4] || with_jobs,
        "there are {jobs} jobs, {tokens} tokens, {keys} trusted keys and {entries} audit entries, and a migration that is taken \
         back deletes what it made, with every answer and receipt in it; stop the services, make a backup, then add --with-jobs"
    );
    let done = migrator.down(n).await?;
    tell("taken back", &done, as_json)
}

fn tell(what: &str, done: &[Migration], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let steps: Vec<Value> =
            done.iter().map(|step| json!({ "version": step.version, "name": step.name })).collect();
        return line(json!({ what.replace(' ', "_"): steps }));
    }
    if done.is_empty() {
        return line(format_args!("nothing to do: no migration was {what}"));
    }
    done.iter().try_for_each(|step| line(format_args!("{what}: {:04} {}", step.version, step.name)))
}

/// Shows every step.
pub(crate) async fn status(options: &PostgresOptions, as_json: bool) -> anyhow::Result<()> {
    let steps = Migrator::connect(options).await?.status().await?;
    if as_json {
        let steps: Vec<Value> = steps
            .iter()
            .map(|step| json!({ "version": step.version, "name": step.name, "state": word(step.state) }))
            .collect();
        return line(json!({ "migrations": steps }));
    }
    steps
        .iter()
        .try_for_each(|step| line(format_args!("{:04} {:<24} {}", step.version, step.name, word(step.state))))
}

/// Refuses anything but the schema of this version.
pub(crate) async fn verify(options: &PostgresOptions, as_json: bool) -> anyhow::Result<()> {
    Migrator::connect(options).await?.verify().await?;
    if as_json {
        line(json!({ "verified": true }))
    } else {
        line("every migration of this version is applied, and none was changed since")
    }
}

const fn word(state: State) -> &'static str {
    match state {
        State::Applied => "applied",
        State::Pending => "pending",
        State::Dirty => "dirty",
        State::Changed => "changed",
        State::Ahead => "ahead (newer, and this version can run on it)",
        State::Newer => "newer",
        State::Unknown => "unknown",
    }
}
