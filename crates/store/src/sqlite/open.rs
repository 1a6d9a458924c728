//! Opening the file: lock, pragmas, schema version, and what errors of the database mean to people.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use beacon_domain::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

const MIGRATIONS: [&str; 4] = [
    include_str!("../../../../migrations/sqlite/0001_init.sql"),
    include_str!("../../../../migrations/sqlite/0002_steering.sql"),
    include_str!("../../../../migrations/sqlite/0003_results.sql"),
    include_str!("../../../../migrations/sqlite/0004_abandoned_calls.sql"),
];
const LATEST: i64 = MIGRATIONS.len() as i64;
/// "Beac", which the first migration sets.
const APPLICATION: i64 = 0x4265_6163;
const TABLES: &str = "-- open::tables
    SELECT count(*) FROM sqlite_schema";
const BUSY: Duration = Duration::from_secs(5);
const STATEMENTS: usize = 128;

/// How the file is shared with other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To run jobs; a second runner on the same file is refused.
    Run,
    /// To read and to cancel, also while a runner has the file.
    Shared,
}

/// Keeps other runners out as long as it lives.
pub(crate) fn lock(path: &Path) -> Result<File, StoreError> {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let lock = PathBuf::from(lock);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
    let file = file.map_err(|error| StoreError::Unavailable {
        message: format!(
            "cannot make the lock file {}; check that its folder exists and is writable",
            lock.display()
        ),
        source: Some(Box::new(error)),
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Occupied(format!(
            "another beacon runs jobs on {} (it holds {}); wait for it, stop it, or use another database file",
            path.display(),
            lock.display()
        ))),
        Err(TryLockError::Error(error)) => Err(StoreError::Unavailable {
            message: format!("cannot lock {}; use a local disk whose file system has locks", lock.display()),
            source: Some(Box::new(error)),
        }),
    }
}

/// Lets the leases of a runner that died run out at once: the lock proves that it is gone. Its death is not held
/// against the executions that it had, what it saw of its endpoints is old, and it is not there any more.
pub(crate) fn orphan_leases(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    const ORPHANS: &str = "-- open::orphans
        UPDATE executions SET lease_until = 0 WHERE lease_until IS NOT NULL;
        UPDATE endpoints SET gate = NULL, bound = NULL, max_in_flight = NULL;
        DELETE FROM workers";
    connection.execute_batch(ORPHANS).map_err(|error| explain(path, error))
}

/// Refuses a file that is there and is not Beacon's, before anything is written in it or beside it.
pub(crate) fn check_ours(path: &Path, mode: OpenMode) -> Result<(), StoreError> {
    if path.as_os_str() == ":memory:" || path.as_os_str().is_empty() {
        return refuse(format!(
            "{:?} names no file, and a run must survive its process; name a file",
            path.display()
        ));
    }
    if path.is_dir() {
        return refuse(format!("{} is a folder; name a file in it", path.display()));
    }
    let is_new =
        !path.try_exists().is_ok_and(|exists| exists) || path.metadata().is_ok_and(|file| file.len() == 0);
    if is_new {
        return match mode {
            OpenMode::Run => Ok(()),
            OpenMode::Shared => {
                refuse(format!("{} holds no database; name the one of the run", path.display()))
            }
        };
    }
    let identity = || {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let tables = connection.query_row(TABLES, [], |row| row.get::<_, i64>(0))?;
        Ok((number("application_id")?, number("user_version")?, tables))
    };
    match identity().map_err(|error| explain(path, error))? {
        (APPLICATION, version, _) if version > LATEST => refuse(format!(
            "{} has schema version {version}, this beacon knows {LATEST}; use a newer beacon, or another file",
            path.display()
        )),
        (APPLICATION, version, _) if version < LATEST && mode == OpenMode::Shared => refuse(format!(
            "{} has schema version {version}, this beacon needs {LATEST}; the next `beacon run` on it brings it up to date",
            path.display()
        )),
        (APPLICATION, _, _) => Ok(()),
        (0, 0, 0) if mode == OpenMode::Run => Ok(()),
        _ => refuse(format!("{} is not a Beacon database; name another file", path.display())),
    }
}

fn refuse<T>(message: String) -> Result<T, StoreError> {
    Err(StoreError::Unavailable { message, source: None })
}

/// A name is a file's name and nothing else: no URI, no database in memory.
fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Opens for writing; a runner brings the schema up to date.
pub(crate) fn writer(path: &Path, mode: OpenMode) -> Result<Connection, StoreError> {
    let open = || {
        let create = if mode == OpenMode::Run { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | create)?;
        // Plans do not depend on bound values; otherwise partial indexes make SQLite prepare again and again.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -16384;
             PRAGMA wal_autocheckpoint = 4000",
        )?;
        if mode == OpenMode::Run {
            migrate(&mut connection)?;
        }
        Ok(connection)
    };
    open().map_err(|error| explain(path, error))
}

/// Opens for reading; the schema is there already.
pub(crate) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192")?;
        Ok(connection)
    };
    open().map_err(|error| explain(path, error))
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let from: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (migration, version) in MIGRATIONS.iter().zip(1..).filter(|(_, version)| *version > from) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.commit()
}

/// What is wrong with the file and what to do.
pub(crate) fn explain(path: &Path, error: rusqlite::Error) -> StoreError {
    let file = path.display();
    let message = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("the disk of {file} is full; free some space, then start again"),
        Some(ErrorCode::ReadOnly) => format!("{file} is read-only; make the file and its folder writable"),
        Some(ErrorCode::CannotOpen) => {
            format!("cannot open {file}; check that its folder exists and that you may write there")
        }
        Some(ErrorCode::NotADatabase) => format!("{file} is not a SQLite database; name another file"),
        Some(ErrorCode::DatabaseCorrupt) => {
            format!("{file} is damaged; restore a copy, or move it away and start with a new file")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{file} is locked by another program; close it, or wait until it is done")
        }
        Some(ErrorCode::SystemIoFailure) => {
            format!("the disk of {file} fails to read or write; check the disk")
        }
        None if is_damage(&error) => {
            format!("{file} is damaged: it holds a value that Beacon never writes; restore a copy")
        }
        _ => format!("the database {file} refused a statement; please report this"),
    };
    StoreError::Unavailable { message, source: Some(Box::new(error)) }
}

/// A value that cannot be read as what it should be.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows, Utf8Error,
    };
    matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | QueryReturnedNoRows
            | Utf8Error(..)
    )
}
