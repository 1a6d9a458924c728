//! The programs of PostgreSQL on this machine, and the user that may run a server.

use std::{
    env, fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{ClusterError, run};

/// Where Debian and others put the programs of a server, besides what `pg_config` says.
const FOLDERS: [&str; 4] =
    ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt/postgresql/bin", "/usr/local/pgsql/bin"];

/// Ends the server and removes everything when the input ends.
const WATCHDOG: &str = r#"cat > /dev/null
test -f "$2/pooler.pid" && kill "$(cat "$2/pooler.pid")"
"$1/pg_ctl" stop --silent --mode immediate --wait --pgdata "$2/data" > /dev/null 2>&1
rm -rf "$2""#;

/// Where the programs are, and as whom they run.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    /// What goes before each command, because a server refuses to run as root.
    prefix: Vec<String>,
}

impl Programs {
    /// Finds them.
    pub(super) fn find() -> Result<Self, ClusterError> {
        let folder = folders().into_iter().find(|folder| folder.join("initdb").exists());
        let folder = folder.ok_or_else(|| {
            ClusterError(
                "these tests need the programs of a PostgreSQL server (initdb, pg_ctl), and they are not there; on Debian: \
                 sudo apt-get install --yes --no-install-recommends postgresql (or: cargo xtask test --install)"
                    .to_owned(),
            )
        })?;
        let prefix = if is_root() { unprivileged()? } else { Vec::new() };
        Ok(Self { folder, prefix })
    }

    /// The same, seeing the disks that this process sees.
    pub(super) fn within(self, process: u32) -> Self {
        let enter = ["nsenter".to_owned(), format!("--mount=/proc/{process}/ns/mnt"), "--".to_owned()];
        Self { folder: self.folder, prefix: enter.into_iter().chain(self.prefix).collect() }
    }

    /// Where the programs are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How a command is run as the user that may; empty if that is us.
    pub(super) fn prefix(&self) -> &[String] {
        &self.prefix
    }

    /// One of the programs, to be run as the user that may.
    pub(super) fn command(&self, program: &str) -> Command {
        let path = self.folder.join(program);
        // Any folder that this user may be in.
        let mut command = self.plain(&path.display().to_string());
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command
    }

    /// Any program, as that user.
    pub(super) fn plain(&self, program: &str) -> Command {
        let mut command = match self.prefix.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.current_dir("/");
        command
    }

    /// A new folder of that user. Its path is short, because a socket's path is at most about 100 bytes.
    pub(super) fn make_folder(&self) -> Result<PathBuf, ClusterError> {
        let made = run(self.plain("mktemp").args(["-d", "/tmp/beacon-pg-XXXXXXXX"]))?;
        Ok(PathBuf::from(made))
    }

    /// Writes a file as that user.
    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), ClusterError> {
        run(self.plain("sh").args(["-c", r#"printf '%s' "$2" > "$1""#, "sh"]).arg(path).arg(text)).map(drop)
    }

    /// Starts what cleans up after this process.
    pub(super) fn watch(&self, folder: &Path) -> Result<Child, ClusterError> {
        let mut watchdog = self.plain("sh");
        watchdog.args(["-c", WATCHDOG, "sh"]).arg(&self.folder).arg(folder);
        watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Its own group: a Ctrl-C at the terminal ends the tests, and this does its work after them.
        watchdog.process_group(0);
        watchdog.spawn().map_err(|error| ClusterError(format!("cannot start {watchdog:?}: {error}")))
    }
}

/// Candidates, the newest version first.
fn folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(said) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
    }
    for folder in FOLDERS.map(Path::new) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut versions: Vec<PathBuf> = entries.map(|entry| entry.path().join("bin")).collect();
        versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
        folders.extend(versions);
        folders.push(folder.to_owned());
    }
    folders
}

fn version(bin: &Path) -> u32 {
    let name = bin.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.and_then(|name| name.parse().ok()).unwrap_or(0)
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// How root runs a command as somebody else: as `postgres` if there is such a user, otherwise as `nobody`.
fn unprivileged() -> Result<Vec<String>, ClusterError> {
    for user in ["postgres", "nobody"] {
        let known = Command::new("id").arg(user).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !known.is_ok_and(|status| status.success()) {
            continue;
        }
        let ways: [&[&str]; 2] = [
            &["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--"],
            &["runuser", "-u", user, "--"],
        ];
        for way in ways {
            let mut attempt = Command::new(way[0]);
            attempt.args(&way[1..]).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
            if attempt.status().is_ok_and(|status| status.success()) {
                return Ok(way.iter().map(|word| (*word).to_owned()).collect());
            }
        }
    }
    Err(ClusterError(
        "a PostgreSQL server does not run as root, and neither setpriv nor runuser can run it as postgres or nobody; \
         run the tests as another user"
            .to_owned(),
    ))
}
