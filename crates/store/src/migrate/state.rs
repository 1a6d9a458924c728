//! What is applied, and what that means.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::StoreError;
use tokio_postgres::Client;

use super::{MIGRATIONS, Migration};
use crate::postgres::{Fault, Kind, Tx, Work};

const APPLIED: &str = "-- migrate::applied
    SELECT version, name, checksum, dirty, serves_from FROM beacon.migrations ORDER BY version";

/// Where one migration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepState {
    /// Its version.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: State,
}

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Applied as this version has it.
    Applied,
    /// Not applied.
    Pending,
    /// It began and is not known to have ended.
    Dirty,
    /// Applied, but with other content than this version has.
    Changed,
    /// Applied, and newer than all that this version knows, which can run on it as it is.
    Ahead,
    /// Applied, and newer than all that this version knows, which cannot run on it.
    Newer,
    /// Applied, and missing in this version, which has newer ones.
    Unknown,
}

/// A line of `beacon.migrations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) version: u32,
    name: String,
    checksum: Vec<u8>,
    dirty: bool,
    serves_from: u32,
}

/// What must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Every migration of this version, and no other.
    All,
    /// Any first part of them: the schema is about to be changed.
    Known,
    /// Every migration of this version, and any that it can run on: while programs of two versions take turns, the schema
    /// is the newer one's.
    Usable,
}

/// What is applied; nothing, if there is no table.
pub(super) async fn applied(client: &Client) -> Result<Vec<Applied>, tokio_postgres::Error> {
    const TABLE: &str = "-- migrate::is_there
        SELECT to_regclass('beacon.migrations') IS NOT NULL";
    if !client.query_typed_one(TABLE, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(Vec::new());
    }
    let rows = client.query_typed(APPLIED, &[]).await?;
    let applied = |row: &tokio_postgres::Row| {
        Ok(Applied {
            version: number(row, 0)?,
            name: row.try_get(1)?,
            checksum: row.try_get(2)?,
            dirty: row.try_get(3)?,
            serves_from: number(row, 4)?,
        })
    };
    rows.iter().map(applied).collect()
}

fn number(row: &tokio_postgres::Row, column: usize) -> Result<u32, tokio_postgres::Error> {
    Ok(u32::try_from(row.try_get::<_, i32>(column)?).unwrap_or(0))
}

/// Every migration that is known or applied, in order.
pub(super) fn compare(migrations: &[Migration], applied: &[Applied]) -> Vec<StepState> {
    let newest = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
    let mut steps: Vec<StepState> = applied
        .iter()
        .map(|line| {
            let known = migrations.iter().find(|migration| migration.version == line.version);
            let state = match known {
                _ if line.dirty => State::Dirty,
                Some(known) if known.checksum().as_slice() == line.checksum => State::Applied,
                Some(_) => State::Changed,
                None if line.version > newest && line.serves_from <= newest => State::Ahead,
                None if line.version > newest => State::Newer,
                None => State::Unknown,
            };
            StepState { version: line.version, name: line.name.clone(), state }
        })
        .collect();
    let there: BTreeSet<u32> = applied.iter().map(|line| line.version).collect();
    let pending = migrations.iter().filter(|migration| !there.contains(&migration.version));
    steps.extend(pending.map(|migration| StepState {
        version: migration.version,
        name: migration.name.to_owned(),
        state: State::Pending,
    }));
    steps.sort_by_key(|step| step.version);
    steps
}

/// Refuses a schema that this version must not touch.
pub(super) fn refusal(
    place: &str,
    migrations: &[Migration],
    applied: &[Applied],
    wanted: Wanted,
) -> Result<(), StoreError> {
    let steps = compare(migrations, applied);
    let is_right = |step: &&StepState| match step.state {
        State::Applied => true,
        State::Pending => wanted == Wanted::Known,
        State::Ahead => wanted == Wanted::Usable,
        State::Dirty | State::Changed | State::Newer | State::Unknown => false,
    };
    // What is not applied yet is the last thing to tell.
    let wrong = steps.iter().filter(|step| !is_right(step)).min_by_key(|step| step.state == State::Pending);
    let Some(StepState { version, name, state }) = wrong else { return Ok(()) };
    let newest = migrations.last().map_or(0, |migration| migration.version);
    let what = match state {
        State::Pending => "is not applied; run `beacon-migrate up`".to_owned(),
        State::Dirty => {
            "began and is not known to have ended (dirty); if no migration runs now, see what it left, \
            finish or undo it by hand, then set dirty = false or delete its line in beacon.migrations"
                .to_owned()
        }
        State::Changed => {
            "was applied with other content; use the program that applied it, or restore the file".to_owned()
        }
        State::Ahead | State::Newer => {
            format!("is newer than this program, which knows {newest}; use a newer program")
        }
        State::Unknown | State::Applied => {
            "is unknown to this program; use the program that applied it".to_owned()
        }
    };
    let message = format!("{place}: migration {version:04}_{name} {what}");
    Err(match state {
        State::Pending => StoreError::Schema { message, source: None },
        _ => StoreError::Unavailable { message, source: None },
    })
}

/// Checks the schema by a connection of the pool.
pub(crate) struct Check {
    /// Which database it is.
    pub(crate) place: std::sync::Arc<str>,
}

#[async_trait]
impl Work for Check {
    type Output = ();
    const NAME: &'static str = "check_schema";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        let database = |error| Fault::Database { statement: "migrate::applied", error };
        let applied = applied(tx.plain().await?).await.map_err(database)?;
        Ok(refusal(&self.place, MIGRATIONS, &applied, Wanted::Usable)?)
    }
}
