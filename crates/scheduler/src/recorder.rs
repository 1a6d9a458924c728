//! Recording in groups: whatever has ended while the store was busy is written in its next transaction.

use std::{future::Future, sync::Arc, time::Duration};

use beacon_domain::{RecordReport, Recorded, Recording, StoreError};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::{
    Ports,
    live::Live,
    report::{self, Chain},
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
    reply: oneshot::Sender<Recorded>,
}

impl Recorder {
    /// The way in, and the loop that ends when every way in is gone.
    pub(crate) fn new(ports: Ports, live: Arc<Live>) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(GROUP);
        (Self { sender }, run(ports, live, receiver))
    }

    /// Returns when it is durable. `None` only if the process is going down.
    pub(crate) async fn record(&self, recording: Recording) -> Option<Recorded> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(Entry { recording, reply }).await.ok()?;
        answer.await.ok()
    }
}

async fn run(ports: Ports, live: Arc<Live>, mut receiver: mpsc::Receiver<Entry>) {
    let mut entries = Vec::with_capacity(GROUP);
    while receiver.recv_many(&mut entries, GROUP).await > 0 {
        // Whoever has just ended too joins the group.
        tokio::task::yield_now().await;
        while entries.len() < GROUP
            && let Ok(entry) = receiver.try_recv()
        {
            entries.push(entry);
        }
        let recordings: Vec<Recording> = entries.iter().map(|entry| entry.recording.clone()).collect();
        // Whoever claims behind this group gets the slots that it frees, in the same transaction if the store has some.
        let claiming = async { live.release() };
        let (report, ()) = futures::join!(record_surely(&ports, &recordings), claiming);
        report::changes(&report.batches_done, &report.jobs_ended);
        for (entry, recorded) in entries.drain(..).zip(report.recorded) {
            // A receiver that is gone belongs to a call that was dropped meanwhile.
            let _ = entry.reply.send(recorded);
        }
    }
}

/// Tries until the store takes it; replaying a group changes nothing, so an unknown commit does no harm.
async fn record_surely(ports: &Ports, recordings: &[Recording]) -> RecordReport {
    let mut pause = FIRST_PAUSE;
    loop {
        match ports.queue.record(recordings.to_vec(), ports.clock.now()).await {
            Ok(report) => return report,
            Err(error) => warn_and_wait(ports, &error, recordings.len(), pause).await,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn warn_and_wait(ports: &Ports, error: &StoreError, n: usize, pause: Duration) {
    warn!(recordings = n, "cannot record {n} outcomes, trying again in {pause:?}: {}", Chain(error));
    ports.clock.sleep_until(ports.clock.monotonic() + pause).await;
}
