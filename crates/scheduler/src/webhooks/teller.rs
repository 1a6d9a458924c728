//! Telling at once: whoever ends batches says so here and waits for nothing.

use std::future::Future;

use beacon_domain::{BatchDone, JobEnded};
use tokio::sync::mpsc;
use tracing::warn;

use super::body::BatchBody;
use crate::{Ports, report::Chain};

/// Batches that wait to be told of. More are told of when their jobs are closed.
const WAITING: usize = 10_000;
const GROUP: usize = 500;

/// A way to the one who tells.
#[derive(Clone, Default)]
pub(crate) struct Teller {
    sender: Option<mpsc::Sender<BatchDone>>,
}

impl Teller {
    /// The way in, and the loop that ends when every way in is gone.
    pub(crate) fn new(ports: Ports) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let sender = ports.webhooks.is_some().then_some(sender);
        (Self { sender }, run(ports, receiver))
    }

    /// Takes note of batches that are done. Those whose job has ended with them are told of when it is closed.
    pub(crate) fn note(&self, batches: &[BatchDone], ended: &[JobEnded]) {
        let Some(sender) = &self.sender else { return };
        let goes_on = |batch: &&BatchDone| ended.iter().all(|job| job.job != batch.job);
        for batch in batches.iter().filter(goes_on) {
            // No room: the closing of the job tells.
            let _ = sender.try_send(batch.clone());
        }
    }
}

async fn run(ports: Ports, mut receiver: mpsc::Receiver<BatchDone>) {
    let Some(webhooks) = ports.webhooks.clone() else { return };
    let mut batches = Vec::with_capacity(GROUP);
    while receiver.recv_many(&mut batches, GROUP).await > 0 {
        let now = ports.clock.now();
        for batch in batches.drain(..) {
            if let Err(error) =
                webhooks.batches_done(batch.job, &[BatchBody::of_done(&batch, now)], now).await
            {
                warn!(
                    job = %batch.job, number = batch.number,
                    "cannot tell of a batch now, the end of its job will: {}", Chain(&error)
                );
            }
        }
    }
}
