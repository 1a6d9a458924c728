//! Recording in groups: whatever has ended while the store was busy is written in its next transaction.

use std::{future::Future, sync::Arc, time::Duration};

use beacon_domain::{EndpointId, RecordReport, Recorded, Recording};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::{
    Ports,
    limits::Gates,
    live::Live,
    patience::{Doing, Patience},
    report::{self, Chain},
    webhooks::Teller,
};

const GROUP: usize = 500;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A way to the recorder. It is bounded: a slow store stops new calls instead of growing memory.
#[derive(Clone)]
pub(crate) struct Recorder {
    sender: mpsc::Sender<Entry>,
}

struct Entry {
    recording: Recording,
    endpoint: EndpointId,
    reply: oneshot::Sender<Recorded>,
}

impl Recorder {
    /// The way in, and the loop that ends when every way in is gone.
    pub(crate) fn new(
        (ports, teller): (Ports, Teller),
        gates: Arc<Gates>,
        live: Arc<Live>,
        patience: Arc<Patience>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(GROUP);
        let recording = Group { ports, teller, gates, live, patience };
        (Self { sender }, recording.run(receiver))
    }

    /// Returns when it is durable. `None` only if the process is going down.
    pub(crate) async fn record(&self, recording: Recording, endpoint: EndpointId) -> Option<Recorded> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(Entry { recording, endpoint, reply }).await.ok()?;
        answer.await.ok()
    }
}

/// The loop's surroundings.
struct Group {
    ports: Ports,
    teller: Teller,
    gates: Arc<Gates>,
    live: Arc<Live>,
    patience: Arc<Patience>,
}

impl Group {
    async fn run(self, mut receiver: mpsc::Receiver<Entry>) {
        let mut entries = Vec::with_capacity(GROUP);
        while receiver.recv_many(&mut entries, GROUP).await > 0 {
            // Whoever has just ended too joins the group.
            tokio::task::yield_now().await;
            while entries.len() < GROUP
                && let Ok(entry) = receiver.try_recv()
            {
                entries.push(entry);
            }
            let endpoints: Vec<EndpointId> = entries.iter().map(|entry| entry.endpoint.clone()).collect();
            let (recordings, replies): (Vec<Recording>, Vec<_>) =
                entries.drain(..).map(|entry| (entry.recording, entry.reply)).unzip();
            let report = self.record(&recordings, &endpoints).await;
            let Some(report) = report else {
                error!(outcomes = replies.len(), "gave up: {} outcomes could not be written", replies.len());
                continue;
            };
            report::changes(&report.batches_done, &report.jobs_ended);
            self.teller.note(&report.batches_done, &report.jobs_ended);
            for (reply, recorded) in replies.into_iter().zip(report.recorded) {
                // A receiver that is gone belongs to a call that was dropped meanwhile.
                let _ = reply.send(recorded);
            }
        }
    }

    /// Tries until the store takes it or patience ends; replaying a group changes nothing, so an unknown commit does
    /// no harm.
    async fn record(&self, recordings: &[Recording], endpoints: &[EndpointId]) -> Option<RecordReport> {
        let (clock, mut pause) = (&self.ports.clock, FIRST_PAUSE);
        loop {
            // A claim behind this group gets the slots that it frees, in the same transaction if the store can do that.
            let claiming = async {
                endpoints.iter().for_each(|endpoint| self.gates.freed(endpoint));
                self.live.release();
            };
            let recording = self.ports.queue.record(recordings.to_vec(), clock.now());
            let (recorded, ()) = futures::join!(recording, claiming);
            let failed = match recorded {
                Ok(report) => {
                    self.patience.worked(Doing::Record);
                    return Some(report);
                }
                Err(error) => error,
            };
            let n = recordings.len();
            warn!(outcomes = n, "cannot record {n} outcomes, trying again in {pause:?}: {}", Chain(&failed));
            if self.patience.is_over(Doing::Record, failed, clock.monotonic()) {
                return None;
            }
            self.patience.pause(clock.as_ref(), pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
