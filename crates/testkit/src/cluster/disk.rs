//! A cluster on a small disk of its own, which a test can fill and free.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{Cluster, ClusterError, Sync, programs::Programs, run};

/// Mounts the disk where only this process and who follows it see it; ends the server and removes everything when the
/// input ends. Arguments: the programs' folder, the cluster's folder, the options, and how to run as the server's user.
const DISK: &str = r#"bin="$1" folder="$2" options="$3"; shift 3
mount -t tmpfs -o "$options" tmpfs "$folder/data" && echo mounted || { rm -rf "$folder"; exit 1; }
cat > /dev/null
"$@" "$bin/pg_ctl" stop --silent --mode immediate --wait --pgdata "$folder/data" > /dev/null 2>&1
umount "$folder/data"
rm -rf "$folder""#;

/// What stands on the disk when it is full.
const BALLAST: &str = "ballast";

/// What fits on such a disk. Segments of the write-ahead log that were used are not kept for later.
const SMALL: &str = "shared_buffers = 16MB\nautovacuum = off\nwal_recycle = off\n";

impl Cluster {
    /// Makes and starts a cluster whose data stand on a disk of so many MiB, with segments of so many MiB in its write-ahead
    /// log: when the disk is full, the log stops at the end of a segment. `None` where this machine does not let us make one:
    /// it takes root, and a mount namespace.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start.
    pub fn on_small_disk(mib: u32, segment: u32) -> Result<Option<Self>, ClusterError> {
        let programs = Programs::find()?;
        let allowed = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
        if programs.prefix().is_empty() || !allowed.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let folder = programs.make_folder()?;
        run(programs.plain("mkdir").arg(folder.join("data")))?;
        let disk = mount(&programs, &folder, mib)?;
        let programs = programs.within(disk.id());
        let cluster = Self::in_folder(folder, programs, disk);
        let (least, most) = (2 * segment, 2 * segment + 32);
        let log = format!("min_wal_size = {least}MB\nmax_wal_size = {most}MB\n");
        let settings = cluster.settings(Sync::On) + SMALL + &log;
        cluster.make(&[&format!("--wal-segsize={segment}")], &settings)?;
        Ok(Some(cluster))
    }

    /// Fills the disk to its last byte.
    ///
    /// # Panics
    /// If it does not get full.
    pub fn fill_disk(&self) {
        let ballast = self.data().join(BALLAST);
        // Its complaint that the disk is full is what we want.
        let filled = run(self.programs.plain("dd").arg("if=/dev/zero").arg(of(&ballast)).arg("bs=4k"));
        assert!(filled.is_err(), "the disk takes everything");
    }

    /// Asks for the next segment of the write-ahead log until the server is gone.
    pub fn fill_log(&self) {
        let mut again = true;
        while again {
            let mut psql = self.client("psql");
            // A record, so that there is something to be done.
            psql.args(["--command", "SELECT pg_logical_emit_message(true, 'x', 'x'), pg_switch_wal()"]);
            again = run(&mut psql).is_ok();
        }
    }

    /// Frees what [`Cluster::fill_disk`] took.
    ///
    /// # Panics
    /// If that is not there.
    pub fn free_disk(&self) {
        let ballast = self.data().join(BALLAST);
        run(self.programs.plain("rm").arg(ballast)).unwrap_or_else(|error| panic!("{error}"));
    }
}

fn of(path: &Path) -> String {
    format!("of={}", path.display())
}

fn mount(programs: &Programs, folder: &Path, mib: u32) -> Result<Child, ClusterError> {
    // The server wants its folder to be its own.
    let user = |which| run(programs.plain("id").arg(which));
    let options = format!("size={mib}m,mode=700,uid={},gid={}", user("-u")?, user("-g")?);
    let mut disk = Command::new("unshare");
    disk.args(["--mount", "sh", "-c", DISK, "sh"]).arg(programs.folder()).arg(folder).arg(options);
    disk.args(programs.prefix()).current_dir("/");
    disk.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut disk = disk.spawn().map_err(|error| ClusterError(format!("cannot start {disk:?}: {error}")))?;
    let mut mounted = String::new();
    if let Some(output) = disk.stdout.take() {
        // What it does not say is seen below.
        let _ = BufReader::new(output).read_line(&mut mounted);
    }
    if mounted.trim() != "mounted" {
        return Err(ClusterError("cannot mount a small disk".to_owned()));
    }
    Ok(disk)
}
