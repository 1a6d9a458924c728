//! The loop: take what is due, send it, write what came of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use beacon_domain::{
    Clock, Delivery, DeliveryEnd, DeliveryQueue, DueAsk, JobId, Monotonic, Sending, SpecArchive, StoreError,
};
use beacon_spec::Audience;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    PostOptions, Resolve, Rules,
    counts::Counts,
    post::Poster,
    schedule::{Attempted, end_of},
};

/// Deliveries in flight in one process.
const AT_ONCE: usize = 128;
/// Of these, the most for one key.
const OF_KEY: usize = 8;
/// This part of what is free is given away at once, and no key has more than that: whoever comes last finds room too.
const OF_FREE: usize = 4;
/// The most to one receiver. A key has one at a time there, so it takes so many keys to fill it.
const TO_RECEIVER: u32 = 8;
/// How often the queue is looked at while nothing ends.
const EVERY: Duration = Duration::from_secs(1);
/// How much longer than an attempt a delivery is a sender's: time to write what came of it.
const MARGIN: Duration = Duration::from_secs(45);
/// Jobs whose keys are remembered. Reading one again costs a look at the signed job.
const REMEMBERED: usize = 10_000;

/// What a sender works with.
pub struct SenderParts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The queue. Any number of senders share it.
    pub deliveries: Arc<dyn DeliveryQueue>,
    /// Says whose a job is.
    pub specs: Arc<dyn SpecArchive>,
    /// What the operator allows.
    pub rules: Arc<Rules>,
    /// Finds addresses.
    pub resolver: Arc<dyn Resolve>,
    /// How it is sent.
    pub post: PostOptions,
}

/// Sends deliveries; those of a key to one receiver one after the other, all others at once. Each key has its share of what is
/// sent at once, so that receivers that hang delay nobody but those whose they are.
pub struct Sender {
    clock: Arc<dyn Clock>,
    deliveries: Arc<dyn DeliveryQueue>,
    specs: Arc<dyn SpecArchive>,
    poster: Poster,
    lease: Duration,
    keys: Mutex<HashMap<JobId, [u8; 32]>>,
    counts: Counts,
}

impl Sender {
    /// A sender.
    ///
    /// # Errors
    /// The certificates cannot be used; the text says why.
    pub fn new(parts: SenderParts) -> Result<Self, String> {
        let SenderParts { clock, deliveries, specs, rules, resolver, post } = parts;
        let lease = post.timeout + MARGIN;
        let poster = Poster::new(rules, resolver, Arc::clone(&clock), post)?;
        Ok(Self { clock, deliveries, specs, poster, lease, keys: Mutex::default(), counts: Counts::new() })
    }

    /// What came of deliveries since this sender was made, in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.counts.text()
    }

    /// Sends what is due until `drain`, then waits for what is in flight. Dropping the future is like killing the process:
    /// what was in flight is due again when its lease ends.
    pub async fn run(self: Arc<Self>, drain: CancellationToken) {
        let mut sending = JoinSet::new();
        let mut busy: HashMap<Id, Sending> = HashMap::new();
        let (mut look_at, mut works) = (self.clock.monotonic(), true);
        let mut rested = look_at;
        while !drain.is_cancelled() {
            let now = self.clock.monotonic();
            let free = AT_ONCE - sending.len();
            if free > 0 && now >= look_at {
                let n = (free / OF_FREE).max(1);
                let taken = self.take(n, busy.values().cloned().collect(), &mut works).await;
                let looked = self.clock.monotonic();
                // However much waits, the database spends no more than half of the time on looking through it.
                rested = looked + looked.since(now);
                // Whoever got all that it asked for may get more at once.
                look_at = if taken.len() == n { rested } else { rested.max(now + EVERY) };
                for delivery in taken {
                    let who = delivery.sending();
                    let task = sending.spawn(Arc::clone(&self).send(delivery, now + self.lease));
                    busy.insert(task.id(), who);
                }
            }
            tokio::select! {
                biased;
                () = drain.cancelled() => {}
                Some(ended) = sending.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    busy.remove(&id);
                    // There may be more for this receiver.
                    look_at = rested;
                }
                () = self.clock.sleep_until(look_at), if sending.len() < AT_ONCE => {}
            }
        }
        while sending.join_next().await.is_some() {}
    }

    /// `works` is whether it did the last time; that it stops to is told once.
    async fn take(&self, n: usize, sending: Vec<Sending>, works: &mut bool) -> Vec<Delivery> {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let ask = DueAsk {
            n: number(n),
            sending,
            of_key: number(n.min(OF_KEY)),
            to_receiver: TO_RECEIVER,
            lease: self.lease,
            now: self.clock.now(),
        };
        match self.deliveries.due(ask).await {
            Ok(taken) => {
                *works = true;
                taken
            }
            Err(error) => {
                if *works {
                    warn!("cannot look for deliveries, trying again: {error}");
                }
                *works = false;
                Vec::new()
            }
        }
    }

    /// Sends one and writes what came of it, while it is ours.
    async fn send(self: Arc<Self>, delivery: Delivery, until: Monotonic) {
        let in_flight = self.counts.begin();
        let attempted = match self.key_of(delivery.new.job).await {
            Ok(key) => self.poster.post(&delivery.new, &key).await,
            Err(Unsigned::Gone(error)) => Attempted::Final { status: None, error },
            // It is due again when its lease ends.
            Err(Unsigned::Store(error)) => {
                return warn!(delivery = delivery.new.id, "cannot read whose a delivery is: {error}");
            }
        };
        let end = end_of(attempted, delivery.attempts, self.clock.now(), rand::random());
        drop(in_flight);
        self.counts.ended(&end);
        tell(&delivery, &end);
        while let Err(error) = self.deliveries.delivered(&delivery, end.clone(), self.clock.now()).await {
            warn!(delivery = delivery.new.id, "cannot write what came of a delivery, trying again: {error}");
            self.clock.sleep_until(self.clock.monotonic() + EVERY).await;
            if self.clock.monotonic() >= until {
                return;
            }
        }
    }

    /// The key that signed a job.
    async fn key_of(&self, job: JobId) -> Result<[u8; 32], Unsigned> {
        if let Some(key) = self.remembered().get(&job) {
            return Ok(*key);
        }
        let bytes = match self.specs.spec_bytes(job).await {
            Ok(bytes) => bytes,
            Err(StoreError::UnknownJob(_)) => return Err(Unsigned::Gone("the job was deleted".to_owned())),
            Err(error) => return Err(Unsigned::Store(error)),
        };
        let unreadable = |error| Unsigned::Gone(format!("the signed job cannot be read: {error}"));
        let key = Audience::of(&bytes).map_err(unreadable)?.public_key;
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(job, key);
        Ok(key)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, [u8; 32]>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no key to sign for.
enum Unsigned {
    Gone(String),
    Store(StoreError),
}

/// The log names the receiver's host and not the URL, which may hold a secret of the receiver.
fn tell(delivery: &Delivery, end: &DeliveryEnd) {
    let (id, job, receiver) = (&delivery.new.id, &delivery.new.job, delivery.new.receiver());
    let (event, attempt) = (&delivery.new.event, delivery.attempts);
    match end {
        DeliveryEnd::Done { status } => {
            debug!(delivery = id, %job, receiver, attempt, status, "told {receiver} of {event}");
        }
        DeliveryEnd::Again { at, error, .. } => {
            info!(delivery = id, %job, receiver, attempt, next_at = %at, "could not tell {receiver} of {event}: {error}");
        }
        DeliveryEnd::Failed { error, .. } => {
            warn!(delivery = id, %job, receiver, attempt, "gave up telling {receiver} of {event}: {error}");
        }
    }
}
