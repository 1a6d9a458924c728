//! The loop: take what is due, send it, write what came of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use beacon_domain::{
    Clock, Delivery, DeliveryEnd, DeliveryQueue, DueAsk, JobId, Monotonic, SpecArchive, StoreError,
};
use beacon_spec::Audience;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    PostOptions, Resolve, Rules,
    post::Poster,
    schedule::{Attempted, end_of},
};

/// Deliveries in flight in one process.
const AT_ONCE: usize = 32;
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

/// Sends deliveries; to one receiver one after the other, to many at once.
pub struct Sender {
    clock: Arc<dyn Clock>,
    deliveries: Arc<dyn DeliveryQueue>,
    specs: Arc<dyn SpecArchive>,
    poster: Poster,
    lease: Duration,
    keys: Mutex<HashMap<JobId, [u8; 32]>>,
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
        Ok(Self { clock, deliveries, specs, poster, lease, keys: Mutex::default() })
    }

    /// Sends what is due until `drain`, then waits for what is in flight. Dropping the future is like killing the process:
    /// what was in flight is due again when its lease ends.
    pub async fn run(self: Arc<Self>, drain: CancellationToken) {
        let mut sending = JoinSet::new();
        let mut busy: HashMap<Id, String> = HashMap::new();
        let (mut look_at, mut works) = (self.clock.monotonic(), true);
        while !drain.is_cancelled() {
            let now = self.clock.monotonic();
            let free = AT_ONCE - sending.len();
            if free > 0 && now >= look_at {
                let taken = self.take(free, busy.values().cloned().collect(), &mut works).await;
                // Whoever got all that it asked for may get more at once.
                look_at = if taken.len() == free { now } else { now + EVERY };
                for delivery in taken {
                    let receiver = delivery.new.receiver();
                    let task = sending.spawn(Arc::clone(&self).send(delivery, now + self.lease));
                    busy.insert(task.id(), receiver);
                }
            }
            tokio::select! {
                biased;
                () = drain.cancelled() => {}
                Some(ended) = sending.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    busy.remove(&id);
                    // There may be more for this receiver.
                    look_at = self.clock.monotonic();
                }
                () = self.clock.sleep_until(look_at), if sending.len() < AT_ONCE => {}
            }
        }
        while sending.join_next().await.is_some() {}
    }

    /// `works` is whether it did the last time; that it stops to is told once.
    async fn take(&self, n: usize, busy: Vec<String>, works: &mut bool) -> Vec<Delivery> {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        let ask = DueAsk { n, busy, lease: self.lease, now: self.clock.now() };
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
        let attempted = match self.key_of(delivery.new.job).await {
            Ok(key) => self.poster.post(&delivery.new, &key).await,
            Err(Unsigned::Gone(error)) => Attempted::Final { status: None, error },
            // It is due again when its lease ends.
            Err(Unsigned::Store(error)) => {
                return warn!(delivery = delivery.new.id, "cannot read whose a delivery is: {error}");
            }
        };
        let end = end_of(attempted, delivery.attempts, self.clock.now(), rand::random());
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
