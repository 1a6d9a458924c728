//! Webhook deliveries: a durable queue of what is to be told to whom, and the log of what was.

use std::time::Duration;

use async_trait::async_trait;
use beacon_spec::{KeyId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{JobId, StoreError};

/// The queue of webhook deliveries. Each is delivered at least once, or given up.
#[async_trait]
pub trait DeliveryQueue: Send + Sync {
    /// Adds deliveries; those whose id is there already change nothing. How many were new.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<u32, StoreError>;

    /// Takes deliveries that are due. Keys take turns: the next is always of the key of which least is being sent, and of
    /// several the one that is due longest. Of what a key has for one receiver it is the longest due, one at a time. Nobody else
    /// gets them until the lease ends.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn due(&self, ask: DueAsk) -> Result<Vec<Delivery>, StoreError>;

    /// Writes what came of an attempt. `false`: it took longer than the lease and somebody else has the delivery.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn delivered(
        &self,
        delivery: &Delivery,
        end: DeliveryEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// How many wait, and how late the latest of them is.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError>;

    /// The deliveries of a job in the order in which they came, at most `n` after the one of the id `after`; none after an
    /// id that is not there.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn deliveries(
        &self,
        job: JobId,
        after: Option<String>,
        n: u32,
    ) -> Result<Vec<Delivery>, StoreError>;
}

/// Which deliveries a sender takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueAsk {
    /// At most so many.
    pub n: u32,
    /// What is being sent by who asks: none of the same key to the same receiver is taken.
    pub sending: Vec<Sending>,
    /// So many of one key at once, with what is being sent. One key's receivers, however slow, leave room for others.
    pub of_key: u32,
    /// So many to one receiver at once, with what is being sent. One receiver that many keys tell is not flooded.
    pub to_receiver: u32,
    /// How long they are the sender's.
    pub lease: Duration,
    /// What is due by then.
    pub now: Timestamp,
}

/// Deliveries that wait, over all jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Not delivered and not given up, counted up to [`Backlog::MOST`].
    pub waiting: u32,
    /// For how long the one that is due longest is due and not being sent; zero if none is.
    pub late: Duration,
}

impl Backlog {
    /// More are not counted.
    pub const MOST: u32 = 10_000;
}

/// Something that is being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// [`Delivery::key`].
    pub key: Option<KeyId>,
    /// [`NewDelivery::receiver`].
    pub receiver: String,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Unique: the receiver knows repetitions by it (header `webhook-id`).
    pub id: String,
    /// The job.
    pub job: JobId,
    /// What happened, such as `job.ended`.
    pub event: String,
    /// To where.
    pub url: String,
    /// The body, as it is signed and sent.
    pub body: String,
}

impl NewDelivery {
    /// Who gets it: host and port as the URL has them, in lower case. What a key sends to one receiver waits for nothing that
    /// is sent to another.
    #[must_use]
    pub fn receiver(&self) -> String {
        receiver_of(&self.url)
    }
}

/// [`NewDelivery::receiver`] of a URL alone.
#[must_use]
pub fn receiver_of(url: &str) -> String {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase()
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be sent, again or for the first time.
    Pending,
    /// The receiver has it.
    Delivered,
    /// Given up.
    Failed,
}

/// A delivery with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What, and to where.
    pub new: NewDelivery,
    /// The key that signed the job; none if the job was deleted.
    pub key: Option<KeyId>,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts begun.
    pub attempts: u32,
    /// When it is due next, while it is pending.
    pub next_at: Timestamp,
    /// The last HTTP status, if there was an answer.
    pub last_status: Option<u16>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// The receiver answered 2xx.
    Done {
        /// The status.
        status: u16,
    },
    /// To be tried again.
    Again {
        /// When.
        at: Timestamp,
        /// The status, if there was an answer.
        status: Option<u16>,
        /// What went wrong.
        error: String,
    },
    /// Not to be tried again.
    Failed {
        /// The status, if there was an answer.
        status: Option<u16>,
        /// What went wrong.
        error: String,
    },
}

impl Delivery {
    /// Whose it is and who gets it.
    #[must_use]
    pub fn sending(&self) -> Sending {
        Sending { key: self.key.clone(), receiver: self.new.receiver() }
    }
}

impl DeliveryState {
    /// The name in stores, JSON and docs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

impl std::str::FromStr for DeliveryState {
    type Err = crate::UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Pending, Self::Delivered, Self::Failed];
        let known = all.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| crate::UnknownState(text.to_owned()))
    }
}

/// What an attempt leaves behind: state, when next, status and error.
type Left = (DeliveryState, Option<Timestamp>, Option<u16>, Option<String>);

impl DeliveryEnd {
    /// The longest text that is kept of an error, in characters.
    pub const MAX_ERROR_CHARS: usize = 500;

    /// What is written of it: the state, when it is due next, the status, and the error, which is bounded.
    #[must_use]
    pub fn left(&self) -> Left {
        let bounded = |error: &String| Some(error.chars().take(Self::MAX_ERROR_CHARS).collect());
        match self {
            Self::Done { status } => (DeliveryState::Delivered, None, Some(*status), None),
            Self::Again { at, status, error } => (DeliveryState::Pending, Some(*at), *status, bounded(error)),
            Self::Failed { status, error } => (DeliveryState::Failed, None, *status, bounded(error)),
        }
    }
}
