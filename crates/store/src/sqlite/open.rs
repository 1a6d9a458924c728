//! Opening the file: lock, pragmas, schema version, and what errors of the database mean to people.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use beacon_domain::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

const MIGRATIONS: [&str; 1] = [include_str!("../../../../migrations/sqlite/0001_init.sql")];
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
/// against the executions that it had.
pub(crate) fn orphan_leases(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    const ORPHANS: &str = "-- open::orphans
        UPDATE executions SET lease_until = 0 WHERE state = 'running'";
    connection.execute(ORPHANS, []).map(drop).map_err(|error| explain(path, error))
}

/// Opens for writing and brings the schema up to date.
pub(crate) fn writer(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Plans do not depend on bound values; otherwise partial indexes make SQLite prepare again and again.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -16384;
             PRAGMA wal_autocheckpoint = 4000",
        )?;
        let known = migrate(&mut connection)?;
        Ok((connection, known))
    };
    let (connection, version) = open().map_err(|error| explain(path, error))?;
    if version > MIGRATIONS.len() {
        return Err(StoreError::Unavailable {
            message: format!(
                "{} has schema version {version}, this beacon knows {}; use a newer beacon, or another file",
                path.display(),
                MIGRATIONS.len()
            ),
            source: None,
        });
    }
    Ok(connection)
}

/// Opens for reading; the schema is there already.
pub(crate) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192")?;
        Ok(connection)
    };
    open().map_err(|error| explain(path, error))
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<usize> {
    let version = |c: &Connection| c.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    if version(connection)? as usize >= MIGRATIONS.len() {
        return version(connection).map(|version| version as usize);
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let from = version(&transaction)? as usize;
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(from) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", at as i64 + 1)?;
    }
    transaction.commit()?;
    Ok(from.max(MIGRATIONS.len()))
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
        _ => format!("the database {file} refused a statement; please report this"),
    };
    StoreError::Unavailable { message, source: Some(Box::new(error)) }
}
