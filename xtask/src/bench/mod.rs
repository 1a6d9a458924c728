//! `bench`: figures of a release build, beside their bounds in the same run. Tests hold what must be true; this says
//! how fast and how small it is.

mod case;
mod main_job;
mod process;
mod site;

use std::{fs, path::PathBuf, process::ExitCode};

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
}

/// Runs the benchmark, prints its table and writes it as JSON below `target/bench`.
///
/// # Errors
/// A program could not be built or started, or a run failed.
pub(crate) fn report(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    let Bench::Main = arguments.bench;
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

fn write(figures: &[Figure]) -> anyhow::Result<PathBuf> {
    let folder = root::workspace().join("target/bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join("main.json");
    let figures: Vec<_> = figures.iter().map(Figure::json).collect();
    let text = serde_json::to_string_pretty(&json!({ "bench": "main", "figures": figures }))?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
