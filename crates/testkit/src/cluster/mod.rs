//! A private PostgreSQL cluster for tests: its own folder, its own server, reached by a Unix socket. It knows the programs
//! of PostgreSQL and no driver. It never outlives the test process, also when that is killed.

mod disk;
mod programs;

use std::{
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use programs::Programs;

/// Everybody who can reach the socket may do everything; only the role `guarded` needs a password.
const ACCESS: &str = "local all guarded scram-sha-256\nlocal all all trust\nlocal replication all trust\n";

/// What a commit of the cluster survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// The end of the server's processes, not of the machine: enough for what the statements do, and fast.
    Off,
    /// Everything, as in production: for figures.
    On,
}

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    programs: Programs,
    databases: AtomicU32,
    pooler: OnceLock<()>,
    /// Ends the server and removes the folder when its input ends: with this process, however that ends.
    watchdog: Child,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ClusterError(pub(crate) String);

impl Cluster {
    /// The cluster that all tests of a process share, started by the first one.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start; the text says what to do.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Sync::Off).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Makes and starts a cluster.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start.
    pub fn start(sync: Sync) -> Result<Self, ClusterError> {
        let programs = Programs::find()?;
        let folder = programs.make_folder()?;
        let watchdog = programs.watch(&folder)?;
        let cluster = Self::in_folder(folder, programs, watchdog);
        cluster.make(&["--no-sync"], &cluster.settings(sync))?;
        Ok(cluster)
    }

    fn in_folder(folder: PathBuf, programs: Programs, watchdog: Child) -> Self {
        Self { folder, programs, databases: AtomicU32::new(0), pooler: OnceLock::new(), watchdog }
    }

    fn make(&self, options: &[&str], settings: &str) -> Result<(), ClusterError> {
        let data = self.data();
        let mut initdb = self.programs.command("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]).args(options);
        run(initdb.arg("--pgdata").arg(&data))?;
        self.programs.write(&data.join("postgresql.auto.conf"), settings)?;
        self.programs.write(&data.join("pg_hba.conf"), ACCESS)?;
        self.boot()
    }

    fn settings(&self, sync: Sync) -> String {
        let (sync, memory, wal) = match sync {
            Sync::Off => ("off", "64MB", "1GB"),
            Sync::On => ("on", "1GB", "8GB"),
        };
        format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nmax_connections = 200\nfsync = {sync}\n\
             shared_buffers = {memory}\nmax_wal_size = {wal}\nwal_compression = on\nlog_min_messages = fatal\n",
            self.folder.display()
        )
    }

    fn boot(&self) -> Result<(), ClusterError> {
        let log = self.folder.join("log");
        let mut start = self.programs.command("pg_ctl");
        start
            .args(["start", "--wait", "--silent", "--timeout=60", "--pgdata"])
            .arg(self.data())
            .arg("--log")
            .arg(&log);
        // The server inherits what pg_ctl has open; a pipe would stay open as long as the server runs.
        start.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        let status = start.status().map_err(|error| ClusterError(format!("cannot start pg_ctl: {error}")))?;
        if status.success() {
            return Ok(());
        }
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        Err(ClusterError(format!("the PostgreSQL server for tests does not start ({status}): {log}")))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The folder of the server's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.folder
    }

    /// How to reach a database of this cluster, in libpq's form.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("host={} user=postgres dbname={database}", self.folder.display())
    }

    /// How to reach a database of this cluster through PgBouncer in transaction mode, with two server connections for each
    /// database, so that those who share them must leave nothing behind in a session.
    ///
    /// # Panics
    /// If PgBouncer is not installed or does not start.
    #[must_use]
    pub fn pooled_url(&self, database: &str) -> String {
        self.pooler.get_or_init(|| self.start_pooler().unwrap_or_else(|error| panic!("{error}")));
        format!("host={} port=6432 user=postgres dbname={database}", self.folder.display())
    }

    fn start_pooler(&self) -> Result<(), ClusterError> {
        let folder = self.folder.display();
        let settings = format!(
            "[databases]\n* = host={folder} user=postgres\n[pgbouncer]\nunix_socket_dir = {folder}\nlisten_port = 6432\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 500\n\
             pidfile = {folder}/pooler.pid\nlogfile = {folder}/pooler.log\n"
        );
        let file = self.folder.join("pooler.ini");
        self.programs.write(&file, &settings)?;
        let mut pooler = self.programs.plain("pgbouncer");
        pooler.args(["--quiet", "--daemon"]).arg(&file);
        pooler.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = pooler.status().map_err(|error| {
            ClusterError(format!(
                "these tests need pgbouncer; on Debian: sudo apt-get install pgbouncer ({error})"
            ))
        })?;
        if !started.success() {
            return Err(ClusterError(format!("pgbouncer does not start ({started})")));
        }
        // It goes to the background before it listens.
        let socket = self.folder.join(".s.PGSQL.6432");
        for _ in 0..500 {
            if UnixStream::connect(&socket).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(ClusterError("pgbouncer does not listen after five seconds".to_owned()))
    }

    /// Makes a database, as a copy of another one or empty; gives its name.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn database(&self, template: Option<&str>) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.create(&name, template);
        name
    }

    /// Makes a database of this name.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn create(&self, name: &str, template: Option<&str>) {
        let mut createdb = self.client("createdb");
        if let Some(template) = template {
            createdb.arg("--template").arg(template);
        }
        run(createdb.arg(name)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// What psql prints for this SQL: rows in lines, columns apart by `|`.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set", "ON_ERROR_STOP=1"]);
        run(psql.args(["--dbname", database, "--command", sql])).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The schema of a database as pg_dump writes it, without what differs from dump to dump.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn schema_of(&self, database: &str) -> String {
        let mut dump = self.client("pg_dump");
        let dump = run(dump.args(["--schema-only", "--no-owner", database]));
        let dump = dump.unwrap_or_else(|error| panic!("{error}"));
        // Newer servers put a random key into these lines.
        let stable = |line: &&str| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict");
        dump.lines().filter(stable).collect::<Vec<_>>().join("\n")
    }

    /// The server's socket.
    #[must_use]
    pub fn socket_file(&self) -> PathBuf {
        self.folder.join(".s.PGSQL.5432")
    }

    /// Ends the server at once, as a crash does.
    ///
    /// # Panics
    /// If pg_ctl cannot be run.
    pub fn crash(&self) {
        self.stop("immediate").unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends the server as an operator does: it takes no new clients, and tells those it has to go.
    ///
    /// # Panics
    /// If pg_ctl cannot be run.
    pub fn shut_down(&self) {
        self.stop("fast").unwrap_or_else(|error| panic!("{error}"));
    }

    /// Whether the server takes clients.
    #[must_use]
    pub fn is_up(&self) -> bool {
        run(&mut self.client("pg_isready")).is_ok()
    }

    /// Starts the server again, and waits until it has recovered.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&self) {
        self.boot().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Whether there is a server, be it one that still recovers.
    #[must_use]
    pub fn is_running(&self) -> bool {
        run(self.programs.command("pg_ctl").args(["status", "--pgdata"]).arg(self.data())).is_ok()
    }

    fn stop(&self, mode: &str) -> Result<String, ClusterError> {
        let mut stop = self.programs.command("pg_ctl");
        run(stop.args(["stop", "--wait", "--silent", "--mode", mode, "--pgdata"]).arg(self.data()))
    }

    fn client(&self, program: &str) -> Command {
        let mut client = self.programs.command(program);
        client.arg("--host").arg(&self.folder).args(["--username", "postgres"]);
        client
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input is the watchdog's sign.
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// What a program prints, or what it complains about.
fn run(command: &mut Command) -> Result<String, ClusterError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| ClusterError(format!("cannot start {command:?}: {error}")))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(ClusterError(format!("{command:?} failed ({}): {complaint}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
