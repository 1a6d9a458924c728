//! Starting, signalling and ending the binary.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// The repository's root.
///
/// # Panics
/// Never: this package is a folder of it.
#[must_use]
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("this package is a folder of the repository").to_owned()
}

/// `beacon`, built if it is not yet.
///
/// # Panics
/// If cargo cannot build it.
#[must_use]
pub fn beacon() -> Command {
    service("beacon")
}

/// A program of the workspace, built if it is not yet: `beacon`, `beacon-api`, `beacon-worker` or `beacon-migrate`.
///
/// # Panics
/// If cargo cannot build it.
#[must_use]
pub(crate) fn service(name: &str) -> Command {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(build);
    Command::new(built.get(name).expect("the workspace has a program of this name"))
}

/// All programs at once, and the examples: so cargo chooses the same features as for the tests, and finds the libraries built.
fn build() -> BTreeMap<String, PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build =
        ["build", "--quiet", "--locked", "--message-format=json", "--workspace", "--bins", "--examples"];
    let release = if cfg!(debug_assertions) { None } else { Some("--release") };
    let mut cargo = Command::new(cargo);
    // What cargo tells this program about itself would be news to build scripts, and they would run again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(name.as_ref());
        }
    }
    let output = cargo.args(build).args(release).current_dir(root()).output().expect("cargo can be started");
    assert!(output.status.success(), "cargo cannot build the programs");
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let messages = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let programs = messages.filter_map(|message| {
        let name = message["target"]["name"].as_str()?.to_owned();
        Some((name, PathBuf::from(message["executable"].as_str()?)))
    });
    programs.collect()
}

/// Between two looks at another process: without it the looking itself would keep the machine busy. Nothing depends on how
/// long it is.
pub fn between_looks() {
    std::thread::park_timeout(std::time::Duration::from_millis(20));
}

/// A running `beacon`; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Process {
    /// Starts it in this folder.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(folder: &Path, args: &[&str]) -> Self {
        let mut command = beacon();
        command.args(args).current_dir(folder).stdin(Stdio::null());
        Self::of(command)
    }

    /// Starts this command with its output kept.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn of(mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self { child: child.expect("the command starts") }
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(folder: &Path, args: &[&str]) -> Finished {
        Self::start(folder, args).wait()
    }

    /// Sends a signal by name, such as `INT`.
    ///
    /// # Panics
    /// If there is no `kill`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([format!("-{name}"), id]).status();
        assert!(status.expect("kill can be started").success(), "the process is there");
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If the system does not tell.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Kills it at once, as a power cut of the process would.
    ///
    /// # Panics
    /// If the system does not let us.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Waits for its end and gives the exit code; its output was taken before.
    ///
    /// # Panics
    /// If the system does not tell.
    pub fn ends(&mut self) -> Option<i32> {
        self.child.wait().expect("a child ends").code()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If its output cannot be read.
    #[must_use]
    pub fn wait(mut self) -> Finished {
        // One pipe is read by a thread of its own, so that neither can fill up and block the process.
        let mut stderr = self.child.stderr.take().expect("it is piped");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        let mut stdout = String::new();
        let mut output = self.child.stdout.take().expect("it is piped");
        output.read_to_string(&mut stdout).expect("the output is text");
        let stderr = errors.join().expect("reading does not panic").expect("the output is text");
        let status = self.child.wait().expect("a child ends");
        Finished { code: status.code(), stdout, stderr }
    }

    /// The most memory that it has had so far, in MiB (Linux).
    #[must_use]
    pub fn peak_mib(&self) -> f64 {
        self.memory_mib("VmHWM:")
    }

    /// The memory that it has now, in MiB (Linux).
    #[must_use]
    pub fn resident_mib(&self) -> f64 {
        self.memory_mib("VmRSS:")
    }

    fn memory_mib(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let memory = status.lines().find_map(|status| status.strip_prefix(line));
        let kib = memory.and_then(|memory| memory.trim().split(' ').next()?.parse::<f64>().ok());
        kib.map_or(f64::NAN, |kib| kib / 1024.0)
    }

    /// Its standard error, to be read while it runs.
    ///
    /// # Panics
    /// If it was taken before.
    pub fn stderr(&mut self) -> std::process::ChildStderr {
        self.child.stderr.take().expect("it is piped")
    }

    /// Its standard output, to be read while it runs.
    ///
    /// # Panics
    /// If it was taken before.
    pub fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().expect("it is piped")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Most have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// The last line of standard output, as JSON.
    ///
    /// # Panics
    /// If it is no JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let last = self.stdout.lines().next_back().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last:?}\n{}", self.stderr))
    }
}
