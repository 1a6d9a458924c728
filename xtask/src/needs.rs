//! What the tests need from the machine. Today that is a C compiler, for the bundled SQLite.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};

/// The packages that hold a C compiler on Debian and what derives from it.
const DEBIAN_PACKAGES: [&str; 2] = ["gcc", "libc6-dev"];

/// When a missing need may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    /// Only on a CI machine (`CI=true`).
    InCi,
    /// The caller asked for it.
    Asked,
}

/// Sees that a C compiler is there, and installs it where that is allowed.
///
/// # Errors
/// It is missing and was not installed; the text names the command that does it.
pub(crate) fn ensure(install: Install) -> anyhow::Result<()> {
    if c_compiler_runs() {
        return Ok(());
    }
    let allowed = install == Install::Asked || env::var("CI").is_ok_and(|value| value == "true");
    let debian = Path::new("/etc/debian_version").exists();
    if allowed && debian && is_root() {
        return install_on_debian();
    }
    let tried = c_compiler();
    bail!("`{tried}` does not start, but the bundled SQLite needs a C compiler; run: {}", advice(debian));
}

fn c_compiler() -> String {
    let compiler = env::var("CC").unwrap_or_default();
    // CC may carry arguments or a launcher ("ccache gcc"); the first word must at least start.
    compiler.split_whitespace().next().unwrap_or("cc").to_owned()
}

fn c_compiler_runs() -> bool {
    let mut command = Command::new(c_compiler());
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn install_on_debian() -> anyhow::Result<()> {
    apt_get(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(DEBIAN_PACKAGES);
    apt_get(&arguments)?;
    ensure!(
        c_compiler_runs(),
        "apt-get installed {DEBIAN_PACKAGES:?}, but no C compiler runs; check CC and PATH"
    );
    Ok(())
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    println!("apt-get {}", arguments.join(" "));
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    let status = command.status().context("cannot start apt-get")?;
    ensure!(status.success(), "apt-get {} failed ({status})", arguments.join(" "));
    Ok(())
}

fn advice(debian: bool) -> String {
    if debian {
        let packages = DEBIAN_PACKAGES.join(" ");
        return format!(
            "sudo apt-get update && sudo apt-get install --yes --no-install-recommends {packages}"
        );
    }
    if cfg!(target_os = "macos") {
        return "xcode-select --install".to_owned();
    }
    "your package manager to install a C compiler called cc (or set CC to the one you have)".to_owned()
}

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn on_debian_the_advice_is_a_command() {
        let advice = advice(true);

        assert!(advice.starts_with("sudo apt-get update"), "{advice}");
        assert!(advice.ends_with("gcc libc6-dev"), "{advice}");
    }
}
