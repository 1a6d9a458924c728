//! `test --contract`: the API, served by an example of `crates/web`, keeps what its OpenAPI document promises. Schemathesis
//! makes the requests, in a Python environment below `target`.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
};

use anyhow::{Context, ensure};

use crate::root;

/// What to install, and what to allow.
const FOLDER: &str = "xtask/contract";

/// Runs all checks; zero failures are a success.
///
/// # Errors
/// Python is missing, the environment cannot be made, or the API does not start.
pub(crate) fn report() -> anyhow::Result<ExitCode> {
    let schemathesis = environment(&root::workspace())?;
    let mut server = Server::start()?;
    let config = root::workspace().join(FOLDER).join("schemathesis.toml");
    let mut run = Command::new(schemathesis);
    // Where it leaves what it remembers of failures.
    run.current_dir(root::workspace().join("target/contract"));
    run.arg("--config-file").arg(config);
    run.args([
        "run",
        &format!("{}/openapi.json", server.url),
        "--checks",
        "all",
        "--generation-deterministic",
    ]);
    // One worker: Python 3.11 loses count of its recursion when threads parse.
    run.args(["--max-examples", "50", "--workers", "1"]);
    let status = run.status().with_context(|| format!("cannot start {run:?}"))?;
    server.stop();
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program, in an environment of its own that is made the first time.
fn environment(root: &Path) -> anyhow::Result<PathBuf> {
    let environment = root.join("target/contract/venv");
    let requirements = root.join(FOLDER).join("requirements.txt");
    if !environment.exists() {
        println!("making a Python environment in {}", environment.display());
        let mut venv = Command::new("python3");
        succeeds(venv.args(["-m", "venv"]).arg(&environment))
            .context("install Python 3 with its venv module (Debian: apt-get install python3-venv)")?;
    }
    let mut pip = Command::new(environment.join("bin/pip"));
    succeeds(
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(requirements),
    )?;
    Ok(environment.join("bin/schemathesis"))
}

fn succeeds(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}

/// The example that serves the API.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start() -> anyhow::Result<Self> {
        let mut cargo = root::cargo();
        cargo.args(["run", "--locked", "--package", "beacon-web", "--example", "served"]);
        cargo.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = cargo.spawn().with_context(|| format!("cannot start {cargo:?}"))?;
        let output = process.stdout.take().context("the server's output is not piped")?;
        let mut url = String::new();
        BufReader::new(output).read_line(&mut url).context("cannot read the server's first line")?;
        ensure!(url.starts_with("http://"), "the server did not start; see above");
        Ok(Self { process, url: url.trim().to_owned() })
    }

    fn stop(&mut self) {
        // It ends with its standard input. Nothing depends on how.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
