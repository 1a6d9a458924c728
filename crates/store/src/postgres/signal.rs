//! Hints between processes: one coalesced NOTIFY after commits, and one connection that listens.
//!
//! A NOTIFY in the transaction that writes would make all commits wait for each other, because PostgreSQL keeps
//! notifications in the order of commits. Nothing depends on a hint: polling remains underneath.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{JobId, Topic, Wakeups};
use futures::StreamExt as _;
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, types::Type};

use super::{
    error::Fault,
    options::PostgresOptions,
    store::locked,
    transaction::{Connections, Kind, Tx, Work},
};

/// The least time between two notifications of one process that there is work.
const REST: Duration = Duration::from_millis(25);
/// The least time between two notifications of one process that jobs went on. People wait for them: with it, and with what
/// a watcher rests, an event is there within a second.
const REST_OF_JOBS: Duration = Duration::from_millis(400);
/// The time until a lost listener connects again.
const RECONNECT: Duration = Duration::from_secs(1);
/// The most jobs in one notification, whose text is at most 8000 bytes.
const MOST_JOBS: usize = 200;

/// What is to be told.
pub(crate) struct Signals {
    wakeups: Arc<Wakeups>,
    pending: Mutex<HashSet<Topic>>,
    more: Notify,
    work: Notify,
    /// Tells our own notifications from those of others.
    me: String,
}

impl Signals {
    /// Nothing to tell yet.
    pub(crate) fn new(wakeups: Arc<Wakeups>) -> Self {
        let me = format!("{:016x}", RandomState::new().build_hasher().finish());
        Self { wakeups, pending: Mutex::default(), more: Notify::new(), work: Notify::new(), me }
    }

    /// Wakes this process now, and the others soon. To be called after a commit.
    pub(crate) fn tell(&self, topics: impl IntoIterator<Item = Topic>) {
        let mut pending = locked(&self.pending);
        for topic in topics {
            self.wakeups.wake(topic);
            pending.insert(topic);
            if topic == Topic::Queue {
                self.work.notify_one();
            }
        }
        drop(pending);
        self.more.notify_one();
    }

    /// Sends what gathers, until aborted.
    pub(crate) async fn send(self: Arc<Self>, connections: Connections) {
        loop {
            self.more.notified().await;
            // Work cuts the rest short.
            let _ = tokio::time::timeout(REST_OF_JOBS, self.work.notified()).await;
            rest(REST).await;
            let topics = std::mem::take(&mut *locked(&self.pending));
            if topics.is_empty() {
                continue;
            }
            let texts = texts(&self.me, &topics);
            if let Err(error) = connections.run(&Send { texts }).await {
                // Others find out by polling.
                tracing::debug!(%error, "cannot notify other processes");
            }
        }
    }

    /// Listens to other processes, until aborted.
    pub(crate) async fn listen(self: Arc<Self>, options: PostgresOptions) {
        loop {
            if let Err(error) = self.listen_once(&options).await {
                tracing::debug!(
                    error = error as Box<dyn std::error::Error>,
                    "the listening connection ended"
                );
            }
            rest(RECONNECT).await;
        }
    }

    async fn listen_once(
        &self,
        options: &PostgresOptions,
    ) -> Result<(), Box<dyn std::error::Error + std::marker::Send + Sync>> {
        let (client, mut connection) = options.session().await?;
        let mut messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
        let mut listening = std::pin::pin!(client.batch_execute("LISTEN beacon"));
        let mut listens = false;
        loop {
            tokio::select! {
                listened = &mut listening, if !listens => {
                    listened?;
                    listens = true;
                    // Whatever was told while nobody listened.
                    self.wakeups.wake(Topic::Queue);
                }
                message = messages.next() => match message {
                    Some(Ok(AsyncMessage::Notification(told))) => self.hear(told.payload()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Ok(()),
                }
            }
        }
    }

    fn hear(&self, text: &str) {
        let Some((who, topics)) = text.split_once(' ') else { return };
        if who == self.me {
            return;
        }
        for topic in topics.split(' ') {
            match topic.parse::<JobId>() {
                Ok(job) => self.wakeups.wake(Topic::Job(job)),
                Err(_) => self.wakeups.wake(Topic::Queue),
            }
        }
    }
}

/// `me queue`, or `me job job …`.
fn texts(me: &str, topics: &HashSet<Topic>) -> Vec<String> {
    let mut jobs: Vec<String> = Vec::new();
    let mut texts = Vec::new();
    for topic in topics {
        match topic {
            Topic::Queue => texts.push(format!("{me} queue")),
            Topic::Job(job) => jobs.push(job.to_string()),
        }
    }
    texts.extend(jobs.chunks(MOST_JOBS).map(|jobs| format!("{me} {}", jobs.join(" "))));
    texts
}

struct Send {
    texts: Vec<String>,
}

#[async_trait]
impl Work for Send {
    type Output = ();
    const NAME: &'static str = "notify";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        const NOTIFY: &str = "-- signal::notify
            SELECT pg_notify('beacon', text) FROM unnest($1::text[]) AS text";
        tx.rows(NOTIFY, &[(&self.texts, Type::TEXT_ARRAY)]).await.map(drop)
    }
}

async fn rest(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}
