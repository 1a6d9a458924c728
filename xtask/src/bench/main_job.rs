//! The main job: from a signed file over simulated endpoints to receipts and a close in an SQLite file.

use std::{thread, time::Duration};

use anyhow::Context;
use serde_json::Value;

use super::{
    case::{Case, Figure},
    process::{Measured, Used},
    site::{Simulator, Site},
};

pub(super) const CASES: [Case; 8] = [
    Case { name: "original, by endpoint", run: |site| original(site, "endpoint", FIXED) },
    Case { name: "original, by question", run: |site| original(site, "question", FIXED) },
    Case { name: "exponential, by endpoint", run: |site| original(site, "endpoint", EXPONENTIAL) },
    Case { name: "exponential, by question", run: |site| original(site, "question", EXPONENTIAL) },
    Case { name: "real scale on virtual time", run: virtual_time },
    Case {
        name: "2,000 at 64 in flight",
        run: |site| wide(site, 2_000, 1, 60.0).map(|(figures, _)| figures),
    },
    Case { name: "100,000 at 64 in flight", run: hundred_thousand },
    Case { name: "result URLs", run: result_urls },
];

/// The cells of `examples/bias-detection.signed.json`.
const EIGHT_CELLS: [(&str, &str); 8] = [
    ("llama3.2-1b", "us-east"),
    ("qwen2.5-1.5b", "us-east"),
    ("llama3.2-1b", "eu-west"),
    ("qwen2.5-1.5b", "eu-west"),
    ("mistral-7b", "eu-west"),
    ("llama3.2-1b", "asia-pacific"),
    ("qwen2.5-1.5b", "asia-pacific"),
    ("mistral-7b", "asia-pacific"),
];
const FIXED: &str = "{ fixed_s = 0.2 }";
const EXPONENTIAL: &str = "{ exponential = { mean_s = 0.2 } }";
/// 1.5 s cold and 8 answers of 0.2 s on every endpoint.
const ORIGINAL_BOUND_S: f64 = 3.1;

/// The original workload in miniature: capacity 1, 429 above it.
fn original(site: &Site, batching: &str, warm: &str) -> anyhow::Result<Vec<Figure>> {
    let fixed = warm == FIXED;
    let name = format!("{}, by {batching}", if fixed { "original" } else { "exponential" });
    let lines = format!("when_full = \"reject\"\nretry_after_s = 1.0\ncold_s = 1.5\nwarm = {warm}");
    let simulator = site.simulate(&EIGHT_CELLS, &lines)?;
    let used = run(site, &simulator, &Site::example("bias-detection.signed.json"), "original.db", batching)?;
    let summary = used.json()?;
    let span = number(&summary, "makespan_s")?;
    let mut figures = vec![
        Figure::exactly(&name, "executions completed", number(&summary, "executions_completed")?, 64.0),
        Figure::exactly(&name, "upstream calls", simulator.count("calls")?, 64.0),
        Figure::exactly(&name, "rejected calls", simulator.count("rejected")?, 0.0),
        Figure::seen(&name, "span, s", span),
    ];
    if fixed && batching == "endpoint" {
        figures.push(Figure::at_most(&name, "span / lower bound of 3.1 s", span / ORIGINAL_BOUND_S, 1.05));
    } else {
        figures.push(Figure::seen(&name, "span / lower bound of 3.1 s", span / ORIGINAL_BOUND_S));
    }
    if batching == "question" {
        figures.push(Figure::at_most(
            &name,
            "longest gap between questions, ms",
            longest_gap_ms(&used)?,
            50.0,
        ));
    }
    Ok(figures)
}

fn longest_gap_ms(used: &Used) -> anyhow::Result<f64> {
    let events = used.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let gaps = events.filter_map(|event| {
        let fields = &event["fields"];
        let starts = fields["message"] == "starting question batch";
        starts.then(|| fields["gap_ms"].as_f64()).flatten()
    });
    gaps.reduce(f64::max).context("no question batch was logged with its gap")
}

fn virtual_time(site: &Site) -> anyhow::Result<Vec<Figure>> {
    const NAME: &str = "real scale on virtual time";
    let used = Measured::start(&mut std::process::Command::new(&site.virtual_run))?.wait()?;
    let mut figures = Vec::new();
    for line in used.stdout.lines() {
        let run: Value = serde_json::from_str(line)?;
        let name = format!("{NAME}, {}", run["batching"].as_str().unwrap_or_default());
        figures.push(Figure::exactly(
            &name,
            "executions completed",
            number(&run, "executions_completed")?,
            64.0,
        ));
        figures.push(Figure::seen(&name, "makespan, virtual s", number(&run, "makespan_s")?));
        figures.push(Figure::seen(&name, "lower bound, virtual s", number(&run, "lower_bound_s")?));
        figures.push(Figure::at_most(&name, "real time, s", number(&run, "wall_s")?, 1.0));
    }
    Ok(figures)
}

/// One endpoint with 64 calls in flight of 100 ms each; the figures, and CPU per execution in ms.
fn wide(site: &Site, questions: u32, runs: u32, peak_mib: f64) -> anyhow::Result<(Vec<Figure>, f64)> {
    let n = f64::from(questions * runs);
    let name = format!("{n} at 64 in flight");
    let job = site.wide_job(questions, runs)?;
    let simulator = site
        .simulate(&[("m", "us-east")], "capacity = 64\nwhen_full = \"reject\"\nwarm = { fixed_s = 0.1 }")?;
    let used = run(site, &simulator, &job, &format!("wide-{n}.db"), "endpoint")?;
    let summary = used.json()?;
    let ideal_s = (n / 64.0).ceil() * 0.1;
    let span = number(&summary, "makespan_s")?;
    let cpu_ms = used.cpu_s * 1000.0 / n;
    let figures = vec![
        Figure::exactly(&name, "executions completed", number(&summary, "executions_completed")?, n),
        Figure::exactly(&name, "upstream calls", simulator.count("calls")?, n),
        Figure::seen(&name, "span, s", span),
        Figure::at_most(&name, "span / ideal", span / ideal_s, 1.05),
        Figure::at_most(&name, "processor time per execution, ms", cpu_ms, 0.3),
        Figure::at_most(&name, "peak memory, MiB", used.peak_mib, peak_mib),
    ];
    Ok((figures, span / n))
}

/// Memory and time per execution do not grow with the job.
fn hundred_thousand(site: &Site) -> anyhow::Result<Vec<Figure>> {
    let (_, small) = wide(site, 2_000, 1, 60.0)?;
    let (mut figures, large) = wide(site, 1_000, 100, 150.0)?;
    let ratio = large / small;
    figures.push(Figure::at_most("100000 at 64 in flight", "time per execution / that of 2,000", ratio, 1.5));
    Ok(figures)
}

/// 64 executions of five windows of a second, undisturbed, and with the process killed ten times.
fn result_urls(site: &Site) -> anyhow::Result<Vec<Figure>> {
    const LINES: &str = "when_full = \"reject\"\nwindow_s = 1.0\nwarm = { fixed_s = 4.9 }";
    let job = Site::example("bias-detection.signed.json");
    let simulator = site.simulate(&EIGHT_CELLS, LINES)?;
    let summary = run(site, &simulator, &job, "urls.db", "endpoint")?.json()?;
    let mut figures = vec![
        Figure::exactly(
            "result URLs",
            "executions completed",
            number(&summary, "executions_completed")?,
            64.0,
        ),
        Figure::exactly("result URLs", "POSTs", simulator.count("calls")?, 64.0),
    ];
    drop(simulator);
    const KILLED: &str = "result URLs, killed 10 times";
    let simulator = site.simulate(&EIGHT_CELLS, LINES)?;
    let mut moment = 0x9E37_79B9_u32;
    for _ in 0..10 {
        let running = Measured::start(&mut command(site, &simulator, &job, "killed.db", "endpoint"))?;
        // Any moments will do, as long as they are spread over a call; these are the same in every run.
        moment = moment.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        thread::sleep(Duration::from_millis(800 + u64::from(moment >> 16) % 5000));
        running.kill()?;
    }
    let summary = run(site, &simulator, &job, "killed.db", "endpoint")?.json()?;
    let receipts = site.beacon(&["receipts", "bias-detection-example", "--db", "killed.db"]).output()?;
    std::fs::write(site.path("receipts.jsonl"), &receipts.stdout)?;
    let verified =
        Measured::start(&mut site.beacon(&["verify", "receipts.jsonl", "--json"]))?.wait()?.json()?;
    let attempts = attempts(site)?;
    figures.extend([
        Figure::exactly(KILLED, "executions completed", number(&summary, "executions_completed")?, 64.0),
        Figure::exactly(KILLED, "receipts that hold", number(&verified, "receipts")?, 64.0),
        Figure::exactly(KILLED, "POSTs beyond one per attempt", simulator.count("calls")? - attempts, 0.0),
        Figure::seen(KILLED, "begun again, URL not yet known", simulator.count("executions")? - 64.0),
    ]);
    Ok(figures)
}

/// All attempts of the killed run. An attempt whose result URL was known is resumed under its own number.
fn attempts(site: &Site) -> anyhow::Result<f64> {
    let arguments = ["results", "bias-detection-example", "--db", "killed.db", "--format", "jsonl"];
    let used = Measured::start(&mut site.beacon(&arguments))?.wait()?;
    let mut sum = 0.0;
    for line in used.stdout.lines() {
        sum += number(&serde_json::from_str::<Value>(line)?["cell"], "attempts")?;
    }
    Ok(sum)
}

fn command(
    site: &Site,
    simulator: &Simulator,
    job: &str,
    database: &str,
    batching: &str,
) -> std::process::Command {
    let (endpoints, keys) = (simulator.endpoints.display().to_string(), Site::example("keys.json"));
    let arguments = ["run", job, "--keys", &keys, "--endpoints", &endpoints, "--db", database];
    let mut command = site.beacon(&arguments);
    command.args(["--batching", batching, "--json"]);
    if batching == "question" {
        // The gaps between questions stand in the log.
        command.args(["-v", "--log-json"]);
    }
    command
}

fn run(
    site: &Site,
    simulator: &Simulator,
    job: &str,
    database: &str,
    batching: &str,
) -> anyhow::Result<Used> {
    for end in ["", "-wal", "-shm", ".lock"] {
        let file = site.path(&format!("{database}{end}"));
        if database != "killed.db" && std::path::Path::new(&file).exists() {
            std::fs::remove_file(&file)?;
        }
    }
    Measured::start(&mut command(site, simulator, job, database, batching))?.wait()
}

fn number(value: &Value, name: &str) -> anyhow::Result<f64> {
    value[name].as_f64().with_context(|| format!("no number {name} in {value}"))
}
