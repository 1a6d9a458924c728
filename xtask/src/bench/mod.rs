//! `bench`: figures of a release build, beside their bounds in the same run. Tests hold what must be true; this says
//! how fast and how small it is.

mod case;
mod main_job;
mod process;
mod site;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::root;
use case::{Case, Figure};
use site::Site;

/// What `bench` takes.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Which benchmark
    #[arg(value_enum)]
    bench: Bench,
    /// Only the cases whose name holds this
    #[arg(long, default_value = "")]
    only: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bench {
    /// The main job: a signed job over simulated endpoints into an SQLite file
    Main,
    /// The queue in PostgreSQL beside bare SQL in the same run, on a cluster of its own
    Queue,
    /// Deployments of many workers on a PostgreSQL of their own: acceptance, limits under kills, fairness
    Scale,
    /// The HTTP API beside a bare server: submissions, the grid of a job, event streams, a cancel
    Api,
}

/// Runs the benchmark, prints its table and writes it as JSON below `target/bench`.
///
/// # Errors
/// A program could not be built or started, or a run failed.
pub(crate) fn report(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    match arguments.bench {
        Bench::Main => {}
        Bench::Queue => {
            return printed("queue", "queue_ceiling", arguments);
        }
        Bench::Scale => return printed("scale", "scale", arguments),
        Bench::Api => return printed("api", "api-load", arguments),
    }
    let site = Site::prepare()?;
    let mut figures: Vec<Figure> = Vec::new();
    println!("{}", Figure::head());
    for Case { name, run } in main_job::CASES {
        if !name.contains(&arguments.only) {
            continue;
        }
        for figure in run(&site).with_context(|| format!("case {name}"))? {
            println!("{figure}");
            figures.push(figure);
        }
    }
    let file = write(&figures)?;
    let missed = figures.iter().filter(|figure| !figure.holds()).count();
    println!("{} figures, {missed} miss their bound; written to {}", figures.len(), file.display());
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a benchmark that prints its own table, and keeps what it prints below `target/bench`.
fn printed(name: &str, program: &str, arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    let mut command = Command::new(site::built(program)?);
    command.args(Some(&arguments.only).filter(|only| !only.is_empty())).stdout(Stdio::piped());
    let mut running = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let output = running.stdout.take().context("its output is not piped")?;
    let folder = root::workspace().join("target/bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(format!("{name}.txt"));
    let mut kept = fs::File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        writeln!(kept, "{line}")?;
    }
    let status = running.wait()?;
    println!("written to {}", file.display());
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(figures: &[Figure]) -> anyhow::Result<PathBuf> {
    let folder = root::workspace().join("target/bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join("main.json");
    let figures: Vec<_> = figures.iter().map(Figure::json).collect();
    let text = serde_json::to_string_pretty(&json!({ "bench": "main", "figures": figures }))?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
