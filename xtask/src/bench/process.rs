//! A process under measurement: its output, its processor time and its peak memory (Linux, from `/proc`).

use std::{
    fs,
    io::Read,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// How often peak memory is read; processor time is exact, it is read after the end.
const LOOK: Duration = Duration::from_millis(10);
/// Clock ticks per second in `/proc` (`sysconf(_SC_CLK_TCK)`), 100 on every Linux that Rust runs on.
const TICKS_PER_S: f64 = 100.0;

/// A running process whose output is kept; dropping it kills it.
pub(super) struct Measured {
    child: Child,
    stdout: Option<JoinHandle<std::io::Result<String>>>,
    stderr: Option<JoinHandle<std::io::Result<String>>>,
}

/// What a process that ended has used and said.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) cpu_s: f64,
    pub(super) peak_mib: f64,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Measured {
    pub(super) fn start(command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().map(|pipe: ChildStdout| read(pipe));
        let stderr = child.stderr.take().map(|pipe: ChildStderr| read(pipe));
        Ok(Self { child, stdout, stderr })
    }

    /// Kills it at once.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("cannot kill a child")?;
        self.child.wait().context("cannot wait for a child")?;
        Ok(())
    }

    /// Waits for its end and reads what it used.
    pub(super) fn wait(mut self) -> anyhow::Result<Used> {
        let folder = format!("/proc/{}", self.child.id());
        let mut peak_mib: f64 = 0.0;
        let cpu_s = loop {
            let stat = fs::read_to_string(format!("{folder}/stat")).context("this benchmark needs /proc")?;
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            // proc(5): after the name come state, then utime and stime as the 12th and 13th field.
            if fields.first() == Some(&"Z") {
                let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
                break (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / TICKS_PER_S;
            }
            let status = fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
            peak_mib = peak_mib.max(peak_of(&status));
            thread::sleep(LOOK);
        };
        let status = self.child.wait().context("cannot wait for a child")?;
        let text = |reader: Option<JoinHandle<std::io::Result<String>>>| match reader.map(JoinHandle::join) {
            Some(Ok(text)) => Ok(text?),
            _ => bail!("the output was not read"),
        };
        let (stdout, stderr) = (text(self.stdout.take())?, text(self.stderr.take())?);
        ensure!(status.success(), "it ended with {status}: {stdout}{stderr}");
        Ok(Used { cpu_s, peak_mib, stdout, stderr })
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // It has usually ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Used {
    /// The last line of its output as JSON.
    pub(super) fn json(&self) -> anyhow::Result<Value> {
        let last = self.stdout.lines().next_back().unwrap_or_default();
        serde_json::from_str(last).with_context(|| format!("no JSON: {last:?} {}", self.stderr))
    }
}

fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<std::io::Result<String>> {
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    })
}

fn peak_of(status: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
