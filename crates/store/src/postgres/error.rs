//! What errors of the database mean to people: what, where and what to do.

use beacon_domain::StoreError;
use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::{DbError, SqlState};

/// Why a transaction failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The store's answer.
    Store(StoreError),
    /// The database refused a statement, or is gone.
    Database { statement: &'static str, error: tokio_postgres::Error },
    /// No connection.
    Pool(PoolError),
    /// The connection went away while it committed: nobody knows whether it did.
    UnknownCommit { error: tokio_postgres::Error },
    /// No answer within the time limit of this side.
    Silent { statement: &'static str },
    /// These jobs must be held alone; the transaction starts again.
    Alone(Vec<i64>),
    /// Somebody else was faster; the transaction starts again.
    Raced,
    /// A row holds what no program of this version wrote.
    Unreadable { statement: &'static str, error: Box<dyn std::error::Error + Send + Sync> },
}

/// What to do about a fault.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Start the transaction again.
    Again,
    /// Start again and hold these jobs alone.
    Alone(Vec<i64>),
    /// Tell the caller.
    GiveUp,
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    /// Whether the same transaction may succeed at once. `replayable`: a transaction that did commit may run again.
    pub(crate) fn remedy(&self, replayable: bool) -> Remedy {
        match self {
            Self::Alone(jobs) => Remedy::Alone(jobs.clone()),
            Self::Raced => Remedy::Again,
            Self::UnknownCommit { .. } if replayable => Remedy::Again,
            // Nothing was committed: the COMMIT had not been sent.
            Self::Database { error, .. } if is_conflict(error) || is_cut(error) => Remedy::Again,
            _ => Remedy::GiveUp,
        }
    }

    /// The caller's error. `place` says which database it is.
    pub(crate) fn explained(self, place: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Database { statement, error } => explain(place, statement, error),
            Self::Pool(PoolError::Backend(error)) => explain(place, "connect", error),
            Self::Pool(PoolError::Timeout(TimeoutType::Wait)) => StoreError::Unavailable {
                message: format!(
                    "all connections of this process to {place} are busy; raise its number of connections, or wait"
                ),
                source: None,
            },
            Self::Pool(error) => {
                unavailable(format!("{place} does not answer; check the server and the network"), error)
            }
            Self::UnknownCommit { error } => unavailable(
                format!(
                    "the connection to {place} was lost during a commit; look whether the change is there"
                ),
                error,
            ),
            Self::Silent { statement } => StoreError::Unavailable {
                message: format!(
                    "{place} did not answer {statement} in time; check the server and the network"
                ),
                source: None,
            },
            Self::Alone(_) | Self::Raced => StoreError::Unavailable {
                message: format!(
                    "{place} is too busy: the same rows were changed again and again; try again"
                ),
                source: None,
            },
            Self::Unreadable { statement, error } => StoreError::Unavailable {
                message: format!("{place} has a row that cannot be read ({statement}); please report this"),
                source: Some(error),
            },
        }
    }
}

/// Whether the database may answer later by itself: it could not be reached, or it is starting up or shutting down.
/// Otherwise somebody must change something first.
#[must_use]
pub fn may_come_back(error: &StoreError) -> bool {
    let StoreError::Unavailable { source: Some(source), .. } = error else { return false };
    match source.downcast_ref::<tokio_postgres::Error>() {
        Some(error) => match error.as_db_error() {
            Some(refusal) => matches!(refusal.code().code(), "57P01" | "57P02" | "57P03" | "53300"),
            None => error.is_closed() || is_cut(error),
        },
        None => source.is::<tokio::time::error::Elapsed>() || source.is::<PoolError>(),
    }
}

/// A `StoreError` with its source.
pub(crate) fn unavailable(
    message: String,
    source: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    StoreError::Unavailable { message, source: Some(Box::new(source)) }
}

/// What is wrong with the database and what to do.
pub(crate) fn explain(place: &str, statement: &'static str, error: tokio_postgres::Error) -> StoreError {
    let message = match error.as_db_error() {
        Some(refusal) if matches!(refusal.code().code(), "3F000" | "42P01" | "42703") => {
            let message = format!(
                "{place}: the schema is missing, or not this version's ({statement}); run `beacon-migrate up`"
            );
            return StoreError::Schema { message, source: Some(Box::new(error)) };
        }
        Some(refusal) => explain_refusal(place, statement, refusal),
        None if error.is_closed() => {
            format!("the connection to {place} was closed; check the server and the network")
        }
        None if error.to_string().contains("TLS") => format!(
            "{place}: TLS failed; trust the certificate's issuer (sslrootcert in the URL, or database.ca_file), call the server \
             by the name in its certificate, or add sslmode=disable to the URL on a network you trust"
        ),
        None if lacks_password(&error) => {
            format!("{place}: the server wants a password, and the database URL has none; add it there")
        }
        None => format!("cannot reach {place} ({statement}); start the server, or correct its address"),
    };
    unavailable(message, error)
}

/// The driver has no code for it.
fn lacks_password(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string() == "password missing")
}

fn explain_refusal(place: &str, statement: &'static str, refusal: &DbError) -> String {
    let code = refusal.code();
    match code.code() {
        "28P01" => format!(
            "{place}: wrong password; correct it in the database URL, where all but letters and digits is percent-encoded"
        ),
        "28000" => {
            format!("{place}: the server does not let this user in; check the user, TLS and pg_hba.conf")
        }
        "3D000" => {
            format!("{place}: there is no such database; create it (createdb), or correct the database URL")
        }
        "42501" => {
            let what = refusal.message();
            format!("{place}: {what} ({statement}); grant this user what the tables of schema beacon need")
        }
        "53100" => format!("the disk of {place} is full; free some space, then start again"),
        "53200" => {
            format!("{place} is out of memory ({statement}); give the server more, or lower its settings")
        }
        "53300" => format!(
            "{place} has too many clients; raise max_connections, or put a connection pooler before it"
        ),
        "26000" | "42P05" => format!(
            "{place} leads to a connection pooler that lends its sessions; give the way around it too (database.direct_url)"
        ),
        "25P03" => {
            format!(
                "{place} gave up {statement}: this process or the network stood still in the middle of it"
            )
        }
        "25006" => format!("{place} is read-only, maybe a standby; name the primary in the database URL"),
        "57P01" | "57P02" | "57P03" => {
            format!("{place} is starting up or shutting down; wait until it is ready")
        }
        "57014" => format!(
            "{place} took too long ({statement}); look for what keeps it busy, or raise the time limit"
        ),
        "55P03" => format!(
            "{place}: {statement} waited too long for a lock; look in pg_stat_activity for who holds it"
        ),
        "40001" | "40P01" => {
            format!("{place} is too busy: {statement} met the same rows again and again; try again")
        }
        code => format!("{place} refused {statement} ({code}: {}); please report this", refusal.message()),
    }
}

/// Serialization failures and deadlocks: the same transaction may succeed at once.
fn is_conflict(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(code) if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED)
}

/// The connection is gone, or is about to be, or its prepared statements are older than the tables.
pub(crate) fn is_cut(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) if *code == SqlState::FEATURE_NOT_SUPPORTED => error
            .as_db_error()
            .is_some_and(|refusal| refusal.message().starts_with("cached plan must not change")),
        Some(code) => matches!(code.code(), "57P01" | "57P02" | "25P03" | "08006" | "08003"),
        None => {
            error.is_closed()
                || std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
        }
    }
}
