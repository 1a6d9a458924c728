//! What the tests need from the machine: a C compiler, for the bundled SQLite, and the programs of a PostgreSQL server, of
//! which the tests start one of their own, and PgBouncer, which they put before it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};

/// The packages that hold them on Debian and what derives from it.
const DEBIAN_PACKAGES: [&str; 4] = ["gcc", "libc6-dev", "postgresql", "pgbouncer"];

/// Where Debian and others put the programs of a PostgreSQL server, apart from PATH; one folder per version or none.
const SERVER_FOLDERS: [&str; 4] =
    ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt/postgresql", "/usr/local/pgsql"];

/// When a missing need may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    /// Only on a CI machine (`CI=true`).
    InCi,
    /// The caller asked for it.
    Asked,
}

/// Sees that everything is there, and installs it where that is allowed.
///
/// # Errors
/// Something is missing and was not installed; the text names the command that does it.
pub(crate) fn ensure(install: Install) -> anyhow::Result<()> {
    let Some(missing) = missing() else { return Ok(()) };
    let allowed = install == Install::Asked || env::var("CI").is_ok_and(|value| value == "true");
    let debian = Path::new("/etc/debian_version").exists();
    if allowed && debian && is_root() {
        return install_on_debian();
    }
    bail!("{missing}; run: {}", advice(debian));
}

/// What is missing, if anything is.
fn missing() -> Option<String> {
    if !c_compiler_runs() {
        return Some(format!("`{}` does not start, but the bundled SQLite needs a C compiler", c_compiler()));
    }
    if !postgres_is_there() {
        return Some(
            "there is no PostgreSQL server (initdb, pg_ctl), but tests start one of their own".to_owned(),
        );
    }
    None
}

fn postgres_is_there() -> bool {
    let said = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let versions = SERVER_FOLDERS.iter().flat_map(|folder| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.chain([folder.into()]).map(|folder: PathBuf| folder.join("bin"))
    });
    said.ok().map(PathBuf::from).into_iter().chain(versions).any(|folder| folder.join("initdb").exists())
}

fn c_compiler() -> String {
    let compiler = env::var("CC").unwrap_or_default();
    // CC may carry arguments or a launcher ("ccache gcc"); the first word must at least start.
    compiler.split_whitespace().next().unwrap_or("cc").to_owned()
}

fn c_compiler_runs() -> bool {
    runs(&mut Command::new(c_compiler()))
}

fn runs(program: &mut Command) -> bool {
    program.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    program.status().is_ok_and(|status| status.success())
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
    let missing = missing();
    ensure!(missing.is_none(), "apt-get installed {DEBIAN_PACKAGES:?}, but {}", missing.unwrap_or_default());
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
        return "xcode-select --install; brew install postgresql pgbouncer".to_owned();
    }
    "your package manager to install PostgreSQL, PgBouncer and a C compiler called cc (or set CC to the one you have)"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn on_debian_the_advice_is_a_command() {
        let advice = advice(true);

        assert!(advice.starts_with("sudo apt-get update"), "{advice}");
        assert!(advice.ends_with("gcc libc6-dev postgresql pgbouncer"), "{advice}");
    }
}
