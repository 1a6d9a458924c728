//! Migrations of the PostgreSQL schema: applied on purpose, one by one, by one program at a time.
//!
//! Each migration and its line in `beacon.migrations` are one transaction, which holds a transaction-level advisory lock
//! from its start: a second migrator waits, then looks again and finds nothing left to do. No session state is used, so a
//! connection pooler in transaction mode does no harm; a direct connection is used where one is configured.

mod files;
mod state;

use beacon_domain::StoreError;
use tokio_postgres::{Client, error::SqlState, types::Type};

use crate::postgres::{PostgresOptions, explain, place, unavailable};
pub use files::{MIGRATIONS, Migration};
pub(crate) use state::Check;
use state::refusal;
pub use state::{State, StepState};

/// The keys of the advisory lock: "beac" in ASCII, and -1, which is no job.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1650811235, -1)";

/// How often a migration is begun that others keep from its locks.
const TRIES: u32 = 5;

const TABLE: &str = "-- migrate::table
    CREATE SCHEMA IF NOT EXISTS beacon;
    CREATE TABLE IF NOT EXISTS beacon.migrations (
        version int PRIMARY KEY,
        name text NOT NULL,
        checksum bytea NOT NULL,
        -- It began and is not known to have ended.
        dirty boolean NOT NULL,
        -- Programs that know this version can run on the schema.
        serves_from int NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );";

/// A connection that changes the schema.
pub struct Migrator {
    client: Client,
    place: String,
    migrations: Vec<Migration>,
}

impl Migrator {
    /// Connects, by the direct URL if there is one, with the migrations of this version.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] says what is wrong and what to do.
    pub async fn connect(options: &PostgresOptions) -> Result<Self, StoreError> {
        Self::with(options, MIGRATIONS.to_vec()).await
    }

    /// Connects, with other migrations than those of this version.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] says what is wrong and what to do.
    pub async fn with(options: &PostgresOptions, migrations: Vec<Migration>) -> Result<Self, StoreError> {
        let place = place(&options.direct_config()?);
        let (client, connection) = options.session().await?;
        // Ends when the client is dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the migrations' connection ended");
            }
        });
        Ok(Self { client, place, migrations })
    }

    /// Where every migration stands.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn status(&self) -> Result<Vec<StepState>, StoreError> {
        let applied =
            state::applied(&self.client).await.map_err(|error| self.explain("migrate::status", error))?;
        Ok(state::compare(&self.migrations, &applied))
    }

    /// Checks that the schema is the one of this version: all applied, none dirty, changed, newer or unknown.
    ///
    /// # Errors
    /// The text says what differs and what to do.
    pub async fn verify(&self) -> Result<(), StoreError> {
        let applied =
            state::applied(&self.client).await.map_err(|error| self.explain("migrate::verify", error))?;
        refusal(&self.place, &self.migrations, &applied, state::Wanted::All)
    }

    /// Applies what is not applied yet; gives what it applied.
    ///
    /// # Errors
    /// The schema is dirty, newer or unknown, or a migration failed; the text says what to do. What was applied before
    /// stays applied.
    pub async fn up(&mut self) -> Result<Vec<Migration>, StoreError> {
        let mut done = Vec::new();
        while let Some(migration) = self.step(Direction::Up).await? {
            done.push(migration);
        }
        Ok(done)
    }

    /// How many jobs, tokens, trusted keys and audit entries there are, in this order: what is lost with its table.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn kept(&self) -> Result<[i64; 4], StoreError> {
        const TABLE: &str = "-- migrate::has_table
            SELECT to_regclass($1) IS NOT NULL";
        const COUNTS: [(&str, &str); 4] = [
            ("beacon.jobs", "SELECT count(*) FROM beacon.jobs"),
            ("beacon.tokens", "SELECT count(*) FROM beacon.tokens"),
            ("beacon.trusted_keys", "SELECT count(*) FROM beacon.trusted_keys"),
            ("beacon.audit", "SELECT count(*) FROM beacon.audit"),
        ];
        let count = async {
            let mut kept = [0; 4];
            for ((table, count), kept) in COUNTS.into_iter().zip(&mut kept) {
                if self.client.query_typed_one(TABLE, &[(&table, Type::TEXT)]).await?.try_get(0)? {
                    *kept = self.client.query_typed_one(count, &[]).await?.try_get(0)?;
                }
            }
            Ok(kept)
        };
        count.await.map_err(|error| self.explain("migrate::kept", error))
    }

    /// Takes back the last `n` migrations; gives what it took back. Their tables and rows are gone.
    ///
    /// # Errors
    /// As for [`Migrator::up`].
    pub async fn down(&mut self, n: u32) -> Result<Vec<Migration>, StoreError> {
        let mut done = Vec::new();
        for _ in 0..n {
            match self.step(Direction::Down).await? {
                Some(migration) => done.push(migration),
                None => break,
            }
        }
        Ok(done)
    }

    /// One migration, if there is one to do. Programs that serve meanwhile take locks in another order: of two that wait for
    /// each other the server ends one, and nothing of the migration stays, so it is tried again.
    async fn step(&mut self, direction: Direction) -> Result<Option<Migration>, StoreError> {
        let mut tries = 1;
        loop {
            match self.step_once(direction).await {
                Err(error) if tries < TRIES && is_deadlock(&error) => tries += 1,
                done => return done,
            }
        }
    }

    async fn step_once(&mut self, direction: Direction) -> Result<Option<Migration>, StoreError> {
        let next = self.begin(direction).await;
        let next = match next {
            Ok(next) => next,
            Err(error) => {
                self.roll_back().await;
                return Err(error);
            }
        };
        let Some(migration) = next else {
            self.roll_back().await;
            return Ok(None);
        };
        let sql = direction.sql(&migration);
        if Migration::in_transaction(sql) {
            if let Err(error) = self.within(&migration, direction).await {
                self.roll_back().await;
                return Err(error);
            }
        } else {
            self.outside(&migration, direction).await?;
        }
        tracing::info!(version = migration.version, name = migration.name, ?direction, "migrated");
        Ok(Some(migration))
    }

    /// Opens a transaction, takes the lock and finds the next migration.
    async fn begin(&self, direction: Direction) -> Result<Option<Migration>, StoreError> {
        let begin =
            format!("BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = 0; {LOCK}; {TABLE}");
        let begun = self.client.batch_execute(&begin).await;
        begun.map_err(|error| self.explain("migrate::begin", error))?;
        let applied =
            state::applied(&self.client).await.map_err(|error| self.explain("migrate::applied", error))?;
        refusal(&self.place, &self.migrations, &applied, state::Wanted::Known)?;
        self.no_line_is_lost(&applied).await?;
        let last = applied.last().map_or(0, |applied| applied.version);
        let wanted = if direction == Direction::Up { last + 1 } else { last };
        Ok(self.migrations.iter().copied().find(|migration| migration.version == wanted))
    }

    /// Which step comes next is known by the lines. One is missing where a later step has its line, or where what its step makes
    /// is there.
    async fn no_line_is_lost(&self, applied: &[state::Applied]) -> Result<(), StoreError> {
        const THERE: &str = "-- migrate::makes
            SELECT to_regclass($1) IS NOT NULL";
        let there = |migration: &&Migration| applied.iter().any(|line| line.version == migration.version);
        for migration in self.migrations.iter().filter(|migration| !there(migration)) {
            let is_between = applied.iter().any(|line| line.version > migration.version);
            let asked = self.client.query_typed_one(THERE, &[(&migration.makes, Type::TEXT)]).await;
            let is_made = asked.and_then(|row| row.try_get::<_, bool>(0));
            if is_between || is_made.map_err(|error| self.explain("migrate::makes", error))? {
                let Migration { version, name, .. } = migration;
                let (place, advice) = (&self.place, migration.put_back());
                let message = format!(
                    "{place}: migration {version:04}_{name} has no line in beacon.migrations, although it was applied: what it \
                     makes is there, or a later one has its line. If only its line was lost, {advice}"
                );
                return Err(StoreError::Unavailable { message, source: None });
            }
        }
        Ok(())
    }

    /// Runs a migration in the open transaction and ends it.
    async fn within(&self, migration: &Migration, direction: Direction) -> Result<(), StoreError> {
        let failed = |error| self.failed(migration, direction, error);
        self.client.batch_execute(direction.sql(migration)).await.map_err(failed)?;
        self.note(migration, direction, false).await?;
        self.client.batch_execute("COMMIT").await.map_err(failed)
    }

    /// Marks a migration as dirty, runs it without a transaction, and takes the mark away.
    async fn outside(&self, migration: &Migration, direction: Direction) -> Result<(), StoreError> {
        const DIRTY: &str = "UPDATE beacon.migrations SET dirty = true WHERE version = $1";
        let failed = |error| self.failed(migration, direction, error);
        if direction == Direction::Up {
            self.note(migration, direction, true).await?;
        } else {
            let version = version(migration.version);
            self.client.execute_typed(DIRTY, &[(&version, Type::INT4)]).await.map_err(failed)?;
        }
        self.client.batch_execute("COMMIT").await.map_err(failed)?;
        self.client.batch_execute(direction.sql(migration)).await.map_err(failed)?;
        self.note(migration, direction, false).await
    }

    async fn note(&self, migration: &Migration, direction: Direction, dirty: bool) -> Result<(), StoreError> {
        const ADD: &str = "-- migrate::add
            INSERT INTO beacon.migrations (version, name, checksum, dirty, serves_from) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (version) DO UPDATE SET dirty = excluded.dirty";
        const REMOVE: &str = "-- migrate::remove
            DELETE FROM beacon.migrations WHERE version = $1";
        let serves_from = version(migration.serves_from);
        let (version, checksum) = (version(migration.version), migration.checksum());
        let noted = match direction {
            Direction::Up => {
                let (name, checksum) = (migration.name, checksum.as_slice());
                let values = [
                    (&version as _, Type::INT4),
                    (&name as _, Type::TEXT),
                    (&checksum as _, Type::BYTEA),
                    (&dirty as _, Type::BOOL),
                    (&serves_from as _, Type::INT4),
                ];
                self.client.execute_typed(ADD, &values).await
            }
            Direction::Down => self.client.execute_typed(REMOVE, &[(&version, Type::INT4)]).await,
        };
        noted.map(drop).map_err(|error| self.failed(migration, direction, error))
    }

    async fn roll_back(&self) {
        // If this fails the connection is gone, and the transaction with it.
        let _ = self.client.batch_execute("ROLLBACK").await;
    }

    fn failed(
        &self,
        migration: &Migration,
        direction: Direction,
        error: tokio_postgres::Error,
    ) -> StoreError {
        let Migration { version, name, .. } = migration;
        let what = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
        let message = format!(
            "{}: migration {version:04}_{name} failed on its way {direction}: {what}; nothing of it stays unless status says dirty{}",
            self.place,
            if is_there(&error) { made_before(migration) } else { String::new() }
        );
        unavailable(message, error)
    }

    fn explain(&self, statement: &'static str, error: tokio_postgres::Error) -> StoreError {
        explain(&self.place, statement, error)
    }
}

impl std::fmt::Debug for Migrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Migrator").field("place", &self.place).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

impl Direction {
    const fn sql(self, migration: &Migration) -> &'static str {
        match self {
            Self::Up => migration.up,
            Self::Down => migration.down,
        }
    }
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Up { "up" } else { "down" })
    }
}

/// Whether a migration met its own tables: only its line can be missing.
fn is_there(error: &tokio_postgres::Error) -> bool {
    let is_there = [SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_COLUMN, SqlState::DUPLICATE_OBJECT];
    error.code().is_some_and(|code| is_there.contains(code))
}

fn made_before(migration: &Migration) -> String {
    format!(". What it makes is there: if only its line was lost, {}", migration.put_back())
}

/// Whether a transaction was ended because it and another one waited for each other.
fn is_deadlock(error: &StoreError) -> bool {
    let StoreError::Unavailable { source: Some(source), .. } = error else { return false };
    let source = source.downcast_ref::<tokio_postgres::Error>();
    source.and_then(tokio_postgres::Error::code) == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

fn version(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
