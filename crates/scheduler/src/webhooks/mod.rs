//! Webhooks: what is to be told of a job goes into the queue of deliveries. Sending it is somebody else's work.

mod body;
mod teller;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use beacon_domain::{DeliveryQueue, JobId, JobSummary, JobView, NewDelivery, SpecArchive, StoreError};
use beacon_spec::{Audience, MerkleRoot, Timestamp, Webhook, WebhookEvent};
use tracing::error;

pub(crate) use teller::Teller;

use body::{BatchBody, JobBody};

/// Batches whose deliveries are written at once.
const AT_ONCE: usize = 100;
/// Jobs whose webhooks are remembered. Reading them again costs a look at the signed job.
const REMEMBERED: usize = 10_000;

/// The ports to it. Without them nobody is told of anything.
#[derive(Clone)]
pub struct Webhooks {
    specs: Arc<dyn SpecArchive>,
    deliveries: Arc<dyn DeliveryQueue>,
    /// What jobs ask for, as their signed bytes say it; those never change.
    asked: Arc<Mutex<HashMap<JobId, Arc<[Webhook]>>>>,
}

impl Webhooks {
    /// Reads what jobs ask for from `specs`, and writes it to `deliveries`.
    #[must_use]
    pub fn new(specs: Arc<dyn SpecArchive>, deliveries: Arc<dyn DeliveryQueue>) -> Self {
        Self { specs, deliveries, asked: Arc::default() }
    }

    /// Tells of batches that are done, if the job asks for that. What is told already stays as it is.
    async fn batches_done(
        &self,
        job: JobId,
        batches: &[BatchBody<'_>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let webhooks = self.asked(job).await?;
        for group in batches.chunks(AT_ONCE) {
            let mut deliveries = Vec::new();
            for batch in group {
                let event = format!("batch_{}", batch.number());
                deliveries.extend(tell(&webhooks, job, WebhookEvent::BatchDone, &event, || batch.json()));
            }
            self.enqueue(deliveries, now).await?;
        }
        Ok(())
    }

    /// Tells of the end of a job, and of all its batches that nobody told of yet: whoever should have may have died. Comes
    /// before the close is kept, and is repeated until it is; then it changes nothing the second time.
    pub(crate) async fn job_ended(
        &self,
        view: &dyn JobView,
        job: &JobSummary,
        (receipts, root): (u32, &MerkleRoot),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let webhooks = self.asked(job.id).await?;
        if webhooks.iter().any(|webhook| webhook.events.contains(&WebhookEvent::BatchDone)) {
            let batches = view.progress(job.id, now).await?.batches;
            let ended_at = job.ended_at.unwrap_or(now);
            let bodies: Vec<_> = batches
                .iter()
                .map(|batch| BatchBody::of_view(job.id, batch, batches.len(), ended_at))
                .collect();
            self.batches_done(job.id, &bodies, now).await?;
        }
        let body = JobBody::new(job, receipts, root, now);
        self.enqueue(tell(&webhooks, job.id, WebhookEvent::JobEnded, "end", || body.json()), now).await
    }

    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<(), StoreError> {
        if !deliveries.is_empty() {
            self.deliveries.enqueue(deliveries, now).await?;
        }
        Ok(())
    }

    /// Who is to be told of a job.
    async fn asked(&self, job: JobId) -> Result<Arc<[Webhook]>, StoreError> {
        if let Some(asked) = self.remembered().get(&job) {
            return Ok(Arc::clone(asked));
        }
        let asked: Arc<[Webhook]> = match Audience::of(&self.specs.spec_bytes(job).await?) {
            Ok(audience) => audience.webhooks.into(),
            // It was verified when it was accepted, so this is our own fault; the job must not wait for it.
            Err(error) => {
                error!(%job, "the signed bytes of job {} cannot be read, nobody is told of it: {error}", job.short());
                Arc::default()
            }
        };
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(job, Arc::clone(&asked));
        Ok(asked)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Arc<[Webhook]>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One delivery for each webhook that wants the event. Its id follows from job, event and place in the spec, so the same is
/// never told twice; it has no dot, which separates the parts of what is signed.
fn tell(
    webhooks: &[Webhook],
    job: JobId,
    event: WebhookEvent,
    name: &str,
    body: impl Fn() -> String,
) -> Vec<NewDelivery> {
    let wanted = webhooks.iter().enumerate().filter(|(_, webhook)| webhook.events.contains(&event));
    let delivery = |(place, webhook): (usize, &Webhook)| NewDelivery {
        id: format!("msg_{job}_{name}_{place}"),
        job,
        event: event.as_str().to_owned(),
        url: webhook.url.clone(),
        body: body(),
    };
    wanted.map(delivery).collect()
}
