//! The reaper: expired leases go back, deadlines end jobs, ended jobs are closed (L7).

use std::time::Duration;

use beacon_domain::Topic;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    Ports, close,
    report::{self, Chain},
    webhooks::Teller,
};

const EVERY: Duration = Duration::from_secs(1);
const AT_ONCE: u32 = 1000;

/// Reaps until `done`.
pub(crate) async fn run(ports: Ports, teller: Teller, done: CancellationToken) {
    loop {
        reap(&ports, &teller).await;
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = ports.clock.sleep_until(ports.clock.monotonic() + EVERY) => {}
        }
    }
}

async fn reap(ports: &Ports, teller: &Teller) {
    match ports.queue.reap(AT_ONCE, ports.clock.now()).await {
        Ok(reaped) => {
            report::changes(&reaped.batches_done, &reaped.jobs_ended);
            teller.note(&reaped.batches_done, &reaped.jobs_ended);
            if reaped.leases_returned > 0 {
                warn!(leases = reaped.leases_returned, "returned {} expired leases", reaped.leases_returned);
                ports.wakeups.wake(Topic::Queue);
            }
        }
        Err(error) => warn!("cannot reap: {}", Chain(&error)),
    }
    if let Err(error) = close::close_ended(ports).await {
        warn!("cannot close ended jobs: {}", Chain(&error));
    }
}
