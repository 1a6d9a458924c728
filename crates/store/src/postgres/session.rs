//! Pooled connections: each keeps the statements that it has prepared.
//!
//! A connection that leads straight to the server has a session of its own: the hot statements are prepared in it, and
//! the settings of the queue are its settings. Behind a pooler every transaction may meet another session, so nothing may
//! be left in one: statements are unnamed, and settings end with their transaction.

use std::{collections::HashMap, time::Duration};

use deadpool::managed;
use deadpool_postgres::{ClientWrapper, Manager};
use tokio_postgres::{Client, Statement, types::Type};

/// A pool of [`Session`]s.
pub(crate) type Pool = managed::Pool<Sessions>;
/// A connection out of the pool.
pub(crate) type Object = managed::Object<Sessions>;

/// The planner's choices pinned to index lookups: statistics lag behind a bulk load, and one plan that reads the table
/// stops the queue. A plan made once serves every value.
const PINNED: [&str; 4] = ["enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin"];

/// Whose the server's sessions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// Ours, for as long as the connection lives.
    Ours,
    /// A pooler's: ours for one transaction.
    Lent,
}

/// Makes connections.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) manager: Manager,
    pub(crate) ownership: Ownership,
    pub(crate) statement_timeout: Duration,
}

/// A connection with its prepared statements.
#[derive(Debug)]
pub(crate) struct Session {
    client: ClientWrapper,
    ownership: Ownership,
    statements: HashMap<&'static str, Statement>,
}

impl managed::Manager for Sessions {
    type Type = Session;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Session, tokio_postgres::Error> {
        let client = self.manager.create().await?;
        if self.ownership == Ownership::Ours {
            let ms = self.statement_timeout.as_millis();
            let settings = format!(
                "SET statement_timeout = {ms}; SET lock_timeout = {ms}; {} SET jit = off; SET plan_cache_mode = force_generic_plan; {}",
                silence("SET", self.statement_timeout),
                pinned("SET", "off")
            );
            client.batch_execute(&settings).await?;
        }
        Ok(Session { client, ownership: self.ownership, statements: HashMap::new() })
    }

    async fn recycle(
        &self,
        session: &mut Session,
        metrics: &managed::Metrics,
    ) -> managed::RecycleResult<tokio_postgres::Error> {
        self.manager.recycle(&mut session.client, metrics).await
    }

    fn detach(&self, session: &mut Session) {
        self.manager.detach(&mut session.client);
    }
}

impl Session {
    /// Whose it is.
    pub(crate) fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// The statement, if it is prepared in this session.
    pub(crate) fn statement(&self, sql: &'static str) -> Option<&Statement> {
        self.statements.get(sql)
    }

    /// Prepares statements for the transactions to come. One that cannot be prepared is sent as text again.
    pub(crate) async fn prepare(&mut self, wanted: Vec<(&'static str, Vec<Type>)>) {
        for (sql, types) in wanted {
            match self.client.prepare_typed(sql, &types).await {
                Ok(statement) => drop(self.statements.insert(sql, statement)),
                Err(error) => return tracing::debug!(%error, "cannot prepare a statement"),
            }
        }
    }
}

impl std::ops::Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// How long this side may be silent in the middle of a transaction. A process that stands still, or a network that lost it,
/// would hold its locks for as long as the server believes in the connection: hours. Others wait for a lock three times as
/// long, so they hear nothing of it.
pub(crate) fn silence(set: &str, statement_timeout: Duration) -> String {
    let ms = (statement_timeout / 3).as_millis().max(1);
    format!("{set} idle_in_transaction_session_timeout = {ms};")
}

/// `SET enable_seqscan = off; …`
pub(crate) fn pinned(set: &str, value: &str) -> String {
    PINNED.map(|name| format!("{set} {name} = {value};")).join(" ")
}

/// Whether a pooler lends its sessions: two connections that are open at once then meet the same one, or one meets two.
pub(crate) async fn ownership(one: &Client, two: &Client) -> Result<Ownership, tokio_postgres::Error> {
    const ROUNDS: usize = 4;
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ones.push(backend(one).await?);
        twos.push(backend(two).await?);
    }
    let steady = |pids: &[i32]| pids.iter().all(|pid| *pid == pids[0]);
    let ours = steady(&ones) && steady(&twos) && ones[0] != twos[0];
    Ok(if ours { Ownership::Ours } else { Ownership::Lent })
}

/// The server's process behind a connection.
async fn backend(client: &Client) -> Result<i32, tokio_postgres::Error> {
    const PID: &str = "-- session::backend
        SELECT pg_backend_pid()";
    client.query_typed_one(PID, &[]).await?.try_get(0)
}
