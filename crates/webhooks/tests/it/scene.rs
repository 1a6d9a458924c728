//! A store with jobs, senders over it, and a log of what came of attempts.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{
    Backlog, Batching, Clock as _, Delivery, DeliveryEnd, DeliveryQueue, DueAsk, JobId, JobStore as _,
    NewDelivery, StoreError,
};
use beacon_spec::{Timestamp, WebhookSecret};
use beacon_store::MemoryStore;
use beacon_testkit::{ManualClock, SpecBuilder, accept};
use beacon_webhooks::{Networks, PostOptions, Resolve, Rules, Secrets, Sender, SenderParts};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The operator's secret of all tests.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The limit of an attempt.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);

/// The queue, which counts what is written to it and may fail to write.
pub(crate) struct Queue {
    pub(crate) store: Arc<MemoryStore>,
    written: watch::Sender<u32>,
    /// So many answers about ends are lost, after they were written.
    pub(crate) lose: AtomicU32,
}

#[async_trait]
impl DeliveryQueue for Queue {
    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<u32, StoreError> {
        self.store.enqueue(deliveries, now).await
    }

    async fn due(&self, ask: DueAsk) -> Result<Vec<Delivery>, StoreError> {
        self.store.due(ask).await
    }

    async fn delivered(
        &self,
        delivery: &Delivery,
        end: DeliveryEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            self.written.send_modify(|n| *n += 1);
            return Err(StoreError::Unavailable { message: "away".to_owned(), source: None });
        }
        let mine = self.store.delivered(delivery, end, now).await;
        self.written.send_modify(|n| *n += 1);
        mine
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        self.store.backlog(now).await
    }

    async fn deliveries(
        &self,
        job: JobId,
        after: Option<String>,
        n: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.store.deliveries(job, after, n).await
    }
}

/// Names and their addresses; each lookup takes the next list of a name, and the last one stays.
#[derive(Default)]
pub(crate) struct Names {
    lists: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub(crate) asked: AtomicU32,
}

impl Names {
    pub(crate) fn tell(&self, name: &str, lists: &[&[&str]]) {
        let parsed = lists.iter().map(|list| list.iter().map(|address| address.parse().unwrap()).collect());
        self.lists.lock().unwrap().insert(name.to_owned(), parsed.collect());
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut lists = self.lists.lock().unwrap();
        let lists = lists.get_mut(name).ok_or_else(|| io::Error::other("no such name"))?;
        Ok(if lists.len() > 1 { lists.remove(0) } else { lists[0].clone() })
    }
}

/// A job, the queue and senders.
pub(crate) struct Scene {
    pub(crate) clock: ManualClock,
    pub(crate) queue: Arc<Queue>,
    pub(crate) names: Arc<Names>,
    pub(crate) rules: Rules,
    pub(crate) ca_pem: Option<Vec<u8>>,
    pub(crate) job: JobId,
}

impl Scene {
    /// The host 127.0.0.1 is allowed, over http, and nothing else that is not public.
    pub(crate) async fn new() -> Self {
        Self::allowing(&["127.0.0.1/32"]).await
    }

    pub(crate) async fn allowing(networks: &[&str]) -> Self {
        let (clock, store) = (ManualClock::new(), Arc::new(MemoryStore::new()));
        let acceptance = accept(SpecBuilder::new("told").verified(), Batching::Question, clock.now());
        let job = acceptance.job;
        store.accept(acceptance).await.unwrap();
        let queue = Queue { store, written: watch::Sender::new(0), lose: AtomicU32::new(0) };
        let rules = Rules {
            secrets: Secrets::new(secret(), None),
            allow: Networks::new(networks.iter().map(|network| network.parse().unwrap()).collect()),
            allow_http: true,
        };
        Self { clock, queue: Arc::new(queue), names: Arc::default(), rules, ca_pem: None, job }
    }

    /// Queues deliveries of these ids to these URLs.
    pub(crate) async fn queue(&self, deliveries: &[(&str, &str)]) {
        self.queue_of(self.job, deliveries).await;
    }

    /// A job of another key.
    pub(crate) async fn job_of(&self, kid: &str, seed: u8) -> JobId {
        let spec = SpecBuilder::new(kid).key(kid, seed, 1).verified();
        let acceptance = accept(spec, Batching::Question, self.clock.now());
        let job = acceptance.job;
        self.queue.store.accept(acceptance).await.unwrap();
        job
    }

    /// Queues deliveries of this job.
    pub(crate) async fn queue_of(&self, job: JobId, deliveries: &[(&str, &str)]) {
        let new = |(id, url): &(&str, &str)| NewDelivery {
            id: (*id).to_owned(),
            job,
            event: "job.ended".to_owned(),
            url: (*url).to_owned(),
            body: format!(r#"{{"type":"job.ended","id":"{id}"}}"#),
        };
        self.queue.enqueue(deliveries.iter().map(new).collect(), self.clock.now()).await.unwrap();
    }

    /// A sender that does nothing yet.
    pub(crate) fn made(&self) -> Arc<Sender> {
        let parts = SenderParts {
            clock: Arc::new(self.clock.clone()),
            deliveries: Arc::clone(&self.queue) as _,
            specs: Arc::clone(&self.queue.store) as _,
            rules: Arc::new(self.rules.clone()),
            resolver: Arc::clone(&self.names) as _,
            post: PostOptions {
                timeout: LIMIT,
                ca_pem: self.ca_pem.clone(),
                user_agent: "beacon-test/1".to_owned(),
            },
        };
        Arc::new(Sender::new(parts).unwrap())
    }

    /// A sender that works until the token is cancelled.
    pub(crate) fn sender(&self) -> (CancellationToken, JoinHandle<()>) {
        let drain = CancellationToken::new();
        (drain.clone(), tokio::spawn(self.made().run(drain)))
    }

    /// Returns when `n` attempts have been written in all.
    pub(crate) async fn written(&self, n: u32) {
        self.queue.written.subscribe().wait_for(|written| *written >= n).await.unwrap();
    }

    pub(crate) async fn log(&self) -> Vec<Delivery> {
        self.queue.deliveries(self.job, None, 1000).await.unwrap()
    }

    /// What one attempt at this URL leaves behind.
    pub(crate) async fn attempt(&self, url: &str) -> Delivery {
        self.queue(&[("msg_1", url)]).await;
        let (drain, sender) = self.sender();
        self.written(1).await;
        drain.cancel();
        sender.await.unwrap();
        self.log().await.remove(0)
    }
}

pub(crate) fn secret() -> WebhookSecret {
    SECRET.parse().unwrap()
}

/// How long after now it is tried again.
pub(crate) fn pause_s(scene: &Scene, delivery: &Delivery) -> f64 {
    delivery.next_at.duration_since(scene.clock.now()).as_secs_f64()
}
