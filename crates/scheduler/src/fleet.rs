//! What a worker shares with operators: it says that it is there, and reads what they changed at its endpoints.

use std::{sync::Arc, time::Duration};

use beacon_domain::{Attendance, EndpointControl, Topic, WorkerId, WorkerPresence};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{Ports, limits::Gates, report::Chain};

/// How often changes are read; as often as the queue is polled.
const EVERY: Duration = Duration::from_secs(1);
/// Workers that were not seen for so long are forgotten.
const FORGET: Duration = Duration::from_secs(3600);
/// More endpoints than this are not changed at run time.
const MOST_CHANGES: u32 = 10_000;

/// The ports to it. Without them a process is alone: nobody sees it, and its endpoints are as its file says.
#[derive(Clone)]
pub struct Fleet {
    /// Where workers say that they are there.
    pub attendance: Arc<dyn Attendance>,
    /// What operators changed at endpoints.
    pub endpoints: Arc<dyn EndpointControl>,
    /// The program's version, as operators see it.
    pub version: &'static str,
}

/// A worker among others.
pub(crate) struct Member {
    pub(crate) ports: Ports,
    pub(crate) fleet: Fleet,
    pub(crate) gates: Arc<Gates>,
    pub(crate) presence: WorkerPresence,
    /// It says that it is there as often as it renews its leases.
    pub(crate) attend_every: Duration,
}

impl Member {
    pub(crate) fn new(
        worker: WorkerId,
        (ports, fleet): (Ports, Fleet),
        gates: Arc<Gates>,
        attend_every: Duration,
    ) -> Self {
        let endpoints = ports.backends.iter().map(|backend| backend.describe().id.clone());
        let presence = WorkerPresence::new(worker, fleet.version, endpoints, ports.clock.now());
        Self { ports, fleet, gates, presence, attend_every }
    }

    /// Until `done`; then it goes home.
    pub(crate) async fn run(mut self, done: CancellationToken) {
        let clock = Arc::clone(&self.ports.clock);
        let mut attend_at = clock.monotonic();
        let mut reads = true;
        loop {
            if clock.monotonic() >= attend_at {
                self.attend().await;
                attend_at = clock.monotonic() + self.attend_every;
            }
            reads = self.read(reads).await;
            tokio::select! {
                biased;
                () = done.cancelled() => break,
                () = clock.sleep_until(clock.monotonic() + EVERY) => {}
            }
        }
        if let Err(error) = self.fleet.attendance.leave(self.presence.worker).await {
            debug!("cannot say that this worker leaves, it will be forgotten: {}", Chain(&error));
        }
    }

    async fn attend(&mut self) {
        let now = self.ports.clock.now();
        self.presence.seen_at = now;
        let forget_before = now.checked_sub(FORGET).unwrap_or(now);
        if let Err(error) = self.fleet.attendance.attend(self.presence.clone(), forget_before).await {
            debug!("cannot say that this worker is there: {}", Chain(&error));
        }
    }

    /// Whether it worked; told once when it stops to.
    async fn read(&self, did: bool) -> bool {
        match self.fleet.endpoints.overrides(MOST_CHANGES).await {
            Ok(changes) => {
                if self.gates.change(&changes) {
                    self.ports.wakeups.wake(Topic::Queue);
                }
                true
            }
            Err(error) => {
                if did {
                    warn!("cannot read what operators changed at endpoints: {}", Chain(&error));
                }
                false
            }
        }
    }
}
