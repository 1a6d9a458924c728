//! Where a benchmark runs: the release binaries, a folder, and simulated endpoints in a process of their own.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::root;

/// The built programs and the folder of the runs.
pub(super) struct Site {
    beacon: PathBuf,
    /// Runs the original workload on virtual time.
    pub(super) virtual_run: PathBuf,
    folder: PathBuf,
}

/// Simulated endpoints; dropping them ends the process.
pub(super) struct Simulator {
    child: Child,
    addr: String,
    pub(super) endpoints: PathBuf,
}

impl Site {
    /// Builds the programs and empties the folder.
    pub(super) fn prepare() -> anyhow::Result<Self> {
        let folder = root::workspace().join("target/bench/run");
        if folder.exists() {
            fs::remove_dir_all(&folder).context("cannot empty the folder of the runs")?;
        }
        fs::create_dir_all(&folder).context("cannot make the folder of the runs")?;
        let (beacon, virtual_run) = (built("beacon")?, built("virtual-run")?);
        Ok(Self { beacon, virtual_run, folder })
    }

    /// The binary under measurement, in the folder of the runs.
    pub(super) fn beacon(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.beacon);
        command.args(arguments).current_dir(&self.folder);
        command
    }

    /// A path in the folder of the runs.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// A signed example of the repository.
    pub(super) fn example(name: &str) -> String {
        root::workspace().join("examples").join(name).display().to_string()
    }

    /// Signs a job of so many questions and repetitions for the model `m` in us-east, and gives its path.
    pub(super) fn wide_job(&self, questions: u32, runs: u32) -> anyhow::Result<String> {
        let name = format!("wide-{questions}-{runs}");
        let questions: Vec<_> = (1..=questions).map(|n| format!("What is {n} plus {n}?")).collect();
        let job = json!({
            "id": name, "version": "v1", "benchmark": { "name": "wide" }, "questions": questions,
            "models": ["m"], "runs": runs, "constraints": { "regions": ["US"] }, "metadata": {},
        });
        let (unsigned, signed) = (self.path("unsigned.json"), self.path(&format!("{name}.json")));
        fs::write(&unsigned, job.to_string()).context("cannot write a job")?;
        let key = Self::example("EXAMPLE-ONLY.key");
        let status = self.beacon(&["sign", &unsigned, "--key", &key, "--out", &signed]).status()?;
        ensure!(status.success(), "the job cannot be signed");
        Ok(signed)
    }

    /// Starts one endpoint per cell, each with these lines of TOML.
    pub(super) fn simulate(&self, cells: &[(&str, &str)], lines: &str) -> anyhow::Result<Simulator> {
        let mut config = String::new();
        for (model, region) in cells {
            writeln!(
                config,
                "[[endpoint]]\nid = \"{region}/{model}\"\nmodel = \"{model}\"\nregion = \"{region}\"\n{lines}"
            )?;
        }
        let (file, endpoints) = (self.path("simulator.toml"), self.path("endpoints.toml"));
        fs::write(&file, config).context("cannot write the simulator's configuration")?;
        let arguments = [
            "simulate",
            "--config",
            &file,
            "--listen",
            "127.0.0.1:0",
            "--json",
            "--write-endpoints",
            &endpoints,
        ];
        let mut child = self.beacon(&arguments).stdout(Stdio::piped()).spawn()?;
        let mut ready = String::new();
        let stdout = child.stdout.take().context("its output is not piped")?;
        BufReader::new(stdout).read_line(&mut ready)?;
        let ready: Value =
            serde_json::from_str(&ready).context("the simulator did not say that it is ready")?;
        let addr = ready["listening"].as_str().context("the simulator says where it listens")?.to_owned();
        Ok(Simulator { child, addr, endpoints: Path::new(&endpoints).to_owned() })
    }
}

impl Simulator {
    /// One of its total counts.
    pub(super) fn count(&self, name: &str) -> anyhow::Result<f64> {
        let mut stream = TcpStream::connect(&self.addr)?;
        write!(stream, "GET /stats HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.addr)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let stats: Value = serde_json::from_str(body)?;
        stats[name].as_f64().with_context(|| format!("no count {name}"))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of the workspace. All are built together: every selection of packages has features of its own, and would
/// build the libraries again.
pub(super) fn built(name: &str) -> anyhow::Result<PathBuf> {
    const BUILD: [&str; 7] =
        ["build", "--release", "--locked", "--workspace", "--bins", "--examples", "--message-format=json"];
    let output = root::cargo().args(BUILD).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "{name} does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let executables = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut paths = executables.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    paths.find(|path| path.file_stem().is_some_and(|stem| stem == name)).context("cargo names no executable")
}
